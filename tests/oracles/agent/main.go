// Command agent reads values as an agent does and tells what it makes of them.
//
// It decodes with the very libraries of the agents: protojson of google.golang.org/protobuf (3.3 and
// later) and jsonpb of github.com/golang/protobuf (3.2). It computes keys with the same functions of
// Go's standard library. The messages come as a descriptor set, so no generated code is needed.
//
//	agent DESCRIPTORS < lines > lines
//
// A line in is {"key","message","value"}: the key below the label, the full name of the message, the
// value as text. A line out is what became of it, in the same order.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/golang/protobuf/jsonpb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/runtime/protoimpl"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const longestLine = 1 << 26

type given struct {
	Key     string `json:"key"`
	Message string `json:"message"`
	Value   string `json:"value"`
}

type found struct {
	Key   string `json:"key"`
	Error string `json:"error,omitempty"`      // of protojson
	Older string `json:"olderError,omitempty"` // of jsonpb
	Names string `json:"names,omitempty"`      // the key that follows from the value
	Text  string `json:"text,omitempty"`       // as the transaction log prints it
	JSON  string `json:"json,omitempty"`       // with proto names
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		return version()
	}
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: agent DESCRIPTORS < lines, or agent --version")
	}
	files, err := load(os.Args[1])
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		var item given
		if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
			return err
		}
		descriptor, err := files.FindDescriptorByName(protoreflect.FullName(item.Message))
		if err != nil {
			return err
		}
		if err := out.Encode(read(item, descriptor.(protoreflect.MessageDescriptor))); err != nil {
			return err
		}
	}
	return lines.Err()
}

func version() error {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		fmt.Println(module.Path, module.Version)
	}
	return nil
}

func load(path string) (*protoregistry.Files, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(content, set); err != nil {
		return nil, err
	}
	return protodesc.NewFiles(set)
}

func read(item given, descriptor protoreflect.MessageDescriptor) found {
	result := found{Key: item.Key}
	older := dynamicpb.NewMessage(descriptor)
	err := jsonpb.Unmarshal(strings.NewReader(item.Value), protoimpl.X.ProtoMessageV1Of(older))
	if err != nil {
		result.Older = err.Error()
	}
	message := dynamicpb.NewMessage(descriptor)
	if err := protojson.Unmarshal([]byte(item.Value), message); err != nil {
		result.Error = err.Error()
		return result
	}
	result.Names = keyOf(message)
	result.Text = prototext.MarshalOptions{}.Format(message)
	result.JSON = protojson.MarshalOptions{UseProtoNames: true}.Format(message)
	return result
}
