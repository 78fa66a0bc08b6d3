// {{ p.example.title }}
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpRequest.BodyPublishers
import java.net.http.HttpResponse.BodyHandlers
import kotlin.system.exitProcess

fun main() {
    val url = System.getenv("DOCKET_URL") ?: {{ p.url }}
    val key = System.getenv("DOCKET_KEY") ?: ""
{%- for v in &p.example.variables %}
    val {{ v.parameter }} = System.getenv("{{ v.environment }}") ?: "{{ v.example }}"
{%- endfor %}

{%- if let Some(body) = &p.body %}

    val body = """
        {{ body }}
    """.trimIndent()
{%- endif %}

    val request = HttpRequest.newBuilder(URI.create("$url{{ p.target }}"))
{%- if p.body.is_some() %}
        .header("Content-Type", "application/json")
        .method("{{ p.method }}", BodyPublishers.ofString(body))
{%- else %}
        .method("{{ p.method }}", BodyPublishers.noBody())
{%- endif %}
    if (key.isNotEmpty()) {
        request.header("X-API-KEY", key)
    }
    val response = HttpClient.newHttpClient().send(request.build(), BodyHandlers.{% if p.example.streams %}ofLines{% else %}ofString{% endif %}())
{%- if p.example.streams %}
    response.body().forEach(::println)
{%- else %}
    println(response.body())
{%- endif %}
    if (response.statusCode() >= 400) {
        exitProcess(1)
    }
}
