"""Two nodes of real vpp-agents and real VPPs on this machine, and what was measured on them.

The binaries are the user's (`binaries.py`). Without them, or without root or ip6tables, every test
of this folder is skipped and says what is missing.

    topology    which nodes, pods and clients there are, and their addresses
    cni         the keys that a CNI writes for them
    cluster     the Kubernetes objects
    netns       network namespaces, and what is done in them
    vppserver, agentserver  the processes of one node
    hostproxy   what kube-proxy does on the hosts
    traffic     servers and clients that count
    lab         all of it together
    leftovers   what ends with the lab, however it ends
"""
