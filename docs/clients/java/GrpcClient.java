import com.google.protobuf.ByteString;
import inference.GRPCInferenceServiceGrpc;
import inference.OpenInference.ModelInferRequest;
import inference.OpenInference.ModelInferResponse;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.StatusRuntimeException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.TimeUnit;

/** Asks a service over gRPC, by classes made from open_inference.proto: see build.sh. java GrpcClient HOST PORT. */
public final class GrpcClient {
    public static void main(String[] arguments) throws InterruptedException {
        float[][] rows = {{1, 2, 3, 4}, {-1, 0.5f, 0, 0.1f}};
        int count = rows.length * rows[0].length;
        ByteBuffer numbers = ByteBuffer.allocate(count * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        for (float[] row : rows) {
            for (float number : row) {
                numbers.putFloat(number);
            }
        }
        ModelInferRequest request = ModelInferRequest.newBuilder()
            .setModelName("digits")
            .addInputs(ModelInferRequest.InferInputTensor.newBuilder()
                .setName("x").setDatatype("FP32").addShape(rows.length).addShape(rows[0].length))
            .addOutputs(ModelInferRequest.InferRequestedOutputTensor.newBuilder().setName("probabilities"))
            .addRawInputContents(ByteString.copyFrom(numbers.flip()))
            .build();

        int port = Integer.parseInt(arguments[1]) + 2;
        ManagedChannel channel = ManagedChannelBuilder.forAddress(arguments[0], port).usePlaintext().build();
        try {
            ModelInferResponse reply = GRPCInferenceServiceGrpc.newBlockingStub(channel)
                .withDeadlineAfter(10, TimeUnit.SECONDS).modelInfer(request);
            ByteBuffer answer = reply.getRawOutputContents(0).asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
            for (long row = 0; row < reply.getOutputs(0).getShape(0); row++) {
                StringBuilder line = new StringBuilder();
                for (long column = 0; column < reply.getOutputs(0).getShape(1); column++) {
                    line.append(column == 0 ? "" : " ").append(answer.getFloat());
                }
                System.out.println(line);
            }
        } catch (StatusRuntimeException error) {
            System.err.println(error.getStatus());
            System.exit(1);
        } finally {
            channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
        }
    }
}
