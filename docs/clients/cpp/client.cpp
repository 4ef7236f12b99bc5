// Asks a service over gRPC, by classes made from open_inference.proto: see build.sh. client HOST PORT
#include <chrono>
#include <cstring>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "open_inference.grpc.pb.h"

int main(int, char** arguments) {
  const std::vector<float> rows = {1, 2, 3, 4, -1, 0.5f, 0, 0.1f};

  inference::ModelInferRequest request;
  request.set_model_name("digits");
  auto* tensor = request.add_inputs();
  tensor->set_name("x");
  tensor->set_datatype("FP32");
  tensor->add_shape(2);
  tensor->add_shape(4);
  request.add_outputs()->set_name("probabilities");
  // Little-endian, row by row; a machine that has numbers otherwise must turn their bytes.
  request.add_raw_input_contents(rows.data(), rows.size() * sizeof(float));

  const std::string address = std::string(arguments[1]) + ":" + std::to_string(std::stoi(arguments[2]) + 2);
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  const auto stub = inference::GRPCInferenceService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  inference::ModelInferResponse reply;
  const grpc::Status status = stub->ModelInfer(&context, request, &reply);
  if (!status.ok()) {
    std::cerr << status.error_code() << ": " << status.error_message() << "\n";
    return 1;
  }

  const std::string& raw = reply.raw_output_contents(0);
  std::vector<float> answers(raw.size() / sizeof(float));
  std::memcpy(answers.data(), raw.data(), raw.size());
  const size_t width = reply.outputs(0).shape(1);
  std::cout.precision(std::numeric_limits<float>::max_digits10);
  for (size_t at = 0; at < answers.size(); at++) {
    std::cout << answers[at] << ((at + 1) % width == 0 ? "\n" : " ");
  }
  return 0;
}
