import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Asks a service with the JDK alone (11 or later): java RestClient.java HOST PORT. */
public final class RestClient {
    private static final String LENGTH = "Inference-Header-Content-Length";

    public static void main(String[] arguments) throws Exception {
        float[][] rows = {{1, 2, 3, 4}, {-1, 0.5f, 0, 0.1f}};

        // The numbers, row by row, little-endian; before them JSON that says what they are.
        int bytes = rows.length * rows[0].length * Float.BYTES;
        String header = String.format(
            "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[%d,%d],\"parameters\":{\"binary_data_size\":%d}}],"
                + "\"outputs\":[{\"name\":\"probabilities\",\"parameters\":{\"binary_data\":true}}]}",
            rows.length, rows[0].length, bytes);
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        ByteBuffer body = ByteBuffer.allocate(json.length + bytes).order(ByteOrder.LITTLE_ENDIAN).put(json);
        for (float[] row : rows) {
            for (float number : row) {
                body.putFloat(number);
            }
        }

        int port = Integer.parseInt(arguments[1]) + 1;
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + arguments[0] + ":" + port + "/v2/models/digits/infer"))
            .header(LENGTH, Integer.toString(json.length))
            .POST(HttpRequest.BodyPublishers.ofByteArray(body.array()))
            .build();
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpResponse<byte[]> reply = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
        if (reply.statusCode() != 200) {
            System.err.println(new String(reply.body(), StandardCharsets.UTF_8));
            System.exit(1);
        }

        // One output was asked for: all that follows the JSON is its own.
        int start = Integer.parseInt(reply.headers().firstValue(LENGTH).orElseThrow());
        ByteBuffer answer = ByteBuffer.wrap(reply.body()).order(ByteOrder.LITTLE_ENDIAN).position(start);
        int width = answer.remaining() / Float.BYTES / rows.length;
        for (int row = 0; row < rows.length; row++) {
            StringBuilder line = new StringBuilder();
            for (int column = 0; column < width; column++) {
                line.append(column == 0 ? "" : " ").append(answer.getFloat());
            }
            System.out.println(line);
        }
    }
}
