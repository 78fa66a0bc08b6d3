// {{ p.example.title }}
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

public class {{ p.class }} {
    public static void main(String[] args) throws Exception {
        var environment = System.getenv();
        var url = environment.getOrDefault("DOCKET_URL", {{ p.url }});
        var key = environment.getOrDefault("DOCKET_KEY", "");
{%- for v in &p.example.variables %}
        var {{ v.parameter }} = environment.getOrDefault("{{ v.environment }}", "{{ v.example }}");
{%- endfor %}

{%- if let Some(body) = &p.body %}

        var body = """
                {{ body }}
                """
{%- for v in &p.in_body %}.replace("{{ "{" }}{{ v.parameter }}{{ "}" }}", {{ v.parameter }}){%- endfor %};
{%- endif %}

        var request = HttpRequest.newBuilder(URI.create(url + "{{ p.target }}"))
{%- if p.body.is_some() %}
                .header("Content-Type", "application/json")
                .method("{{ p.method }}", BodyPublishers.ofString(body));
{%- else %}
                .method("{{ p.method }}", BodyPublishers.noBody());
{%- endif %}
        if (!key.isEmpty()) {
            request.header("X-API-KEY", key);
        }
        var response = HttpClient.newHttpClient().send(request.build(), BodyHandlers.{% if p.example.streams %}ofLines{% else %}ofString{% endif %}());
{%- if p.example.streams %}
        response.body().forEach(System.out::println);
{%- else %}
        System.out.println(response.body());
{%- endif %}
        if (response.statusCode() >= 400) {
            System.exit(1);
        }
    }
}
