// Asks with java.net.http, which by default offers to go on in HTTP/2 (`Upgrade: h2c`), and prints what came back: URL [anew].
// `anew` asks each time with a client of its own: one that is kept takes its connection up again after an answer in HTTP/1.0, and
// fails where it is faster than the server's FIN.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.io.ByteArrayInputStream;
import java.util.function.Supplier;

public class HttpClientMain {
    static final String BODY = "sent by Java ".repeat(10_000);

    public static void main(String[] arguments) throws Exception {
        for (HttpClient.Version version : HttpClient.Version.values()) {
            HttpClient kept = newClient(version);
            Supplier<HttpClient> client = arguments.length > 1 ? () -> newClient(version) : () -> kept;
            URI uri = URI.create(arguments[0]);
            show(client, HttpRequest.newBuilder(uri.resolve("/text")).header("X-Order", "1").build());
            show(client, post(uri, BodyPublishers.ofString(BODY)));
            // Without a length it is sent in chunks.
            show(client, post(uri, BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(BODY.getBytes()))));
            show(client, HttpRequest.newBuilder(uri.resolve("/chunked")).build());
            show(client, HttpRequest.newBuilder(uri.resolve("/missing")).DELETE().build());
        }
    }

    static HttpClient newClient(HttpClient.Version version) {
        return HttpClient.newBuilder().version(version).build();
    }

    static HttpRequest post(URI uri, HttpRequest.BodyPublisher body) {
        return HttpRequest.newBuilder(uri.resolve("/echo")).POST(body).build();
    }

    static void show(Supplier<HttpClient> client, HttpRequest request) throws Exception {
        HttpResponse<String> answer = client.get().send(request, BodyHandlers.ofString());
        System.out.println(answer.version() + " " + answer.statusCode());
        answer.headers().map().forEach((name, values) -> {
            if (!name.equalsIgnoreCase("date")) System.out.println(name + ": " + values);
        });
        System.out.println(answer.body().length() + " " + answer.body().hashCode());
    }
}
