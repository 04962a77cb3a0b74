// Requests to the server, and its stream of changes.

export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== undefined && one !== null && one !== "") query.append(name, one);
  const answer = await fetch(`${path}${query.size ? `?${query}` : ""}`, { signal, credentials: "same-origin" });
  const type = answer.headers.get("content-type") ?? "";
  if (!answer.ok) throw new Error(type.includes("json") ? (await answer.json()).error : (await answer.text()).trim());
  return answer.json();
}

// calls `changed` with the names of studies; `connected` with whether the server answers
export function listen(changed, connected) {
  const source = new EventSource("/api/changes");
  source.addEventListener("change", (event) => changed(JSON.parse(event.data)));
  source.addEventListener("open", () => connected(true));
  source.addEventListener("error", () => connected(false));
  window.addEventListener("pagehide", () => source.close());
}
