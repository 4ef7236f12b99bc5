#!/bin/sh
# Debian: apt-get install g++ pkg-config libgrpc++-dev protobuf-compiler protobuf-compiler-grpc
# sh build.sh FOLDER_OF_THE_PROTO TARGET, then: TARGET/client HOST PORT
set -eu
here=$(dirname "$0")
mkdir -p "$2"
protoc -I "$1" --cpp_out="$2" --grpc_out="$2" --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin open_inference.proto
# shellcheck disable=SC2046 # words are wanted
g++ -std=c++17 -O1 -I "$2" $(pkg-config --cflags grpc++ protobuf) \
  "$here/client.cpp" "$2/open_inference.pb.cc" "$2/open_inference.grpc.pb.cc" \
  $(pkg-config --libs grpc++ protobuf) -o "$2/client"
