"""How VPP spreads the flows of a policy over its segment lists, computed without VPP.

Rule: it was read in VPP's source and checked against what VPP rule V4 says
(docs/simulate.md); pure arithmetic on weights, addresses and ports.
"""
