module srv6kv/tests/oracles/agent

go 1.19

require (
	github.com/golang/protobuf v1.5.0
	google.golang.org/protobuf v1.28.1
)
