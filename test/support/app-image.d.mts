import type Dockerode from 'dockerode'

/**
 * Puts the image of the tests' own web app into a Docker or Podman. It serves HTTP on port 80, and does what its
 * environment and the requests say; every line that it prints tells what it does (`listening after 40 ms`, `GET /echo`,
 * `late GET /` after TERM, `TERM: ending in 500 ms`, `exit 0: idle`).
 *
 * Environment, all optional:
 * - `PORT` (80) · `START_MS`: how long until it listens · `EXIT`: ends with this code instead of listening
 * - `STOP_MS` (0): how long it goes on serving after TERM, then ends with 0 · `IGNORE_TERM=1`: it only prints that TERM came
 * - `IDLE_EXIT_MS`: ends with 0 when it has had no request or connection under way for so long
 * - `HEALTH` (200): what `/health` answers · `KEEP_ALIVE_MS` (60000)
 *
 * Paths:
 * - `/` and whatever is not below: HTML, `hello from HOSTNAME` · `/slow?ms=`: the same, later · `/status/CODE`
 * - `/echo`: JSON of the request: name, method, url, headers, rawHeaders, bodyBytes, sha256 · `/body`: its body as it comes
 * - `/chunks?n=&size=&ms=`: a chunked answer · `/events?n=&ms=`: an event stream, endless without `n`
 * - `/download?bytes=&size=&ms=`: `hostler hostler …` with a length · `/drop`: the connection is cut without an answer
 * - `/health`; `POST /health?status=503` changes what it answers
 * - `/seen`: JSON { requests, webSockets, stopping } · `/seen/ID`: JSON { count } of requests that had `x-id: ID`
 * - `/exit?code=`: answers, then ends with this code (1)
 *
 * A WebSocket on any path sends every frame back and is silent otherwise; with `?ms=` it says `tick` so often. After TERM
 * answers have the header `x-stopping: 1`.
 * @returns the image's name
 */
export function importAppImage(docker: Dockerode, options?: AppImageOptions): Promise<string>

export interface AppImageOptions {
  /** `NAME:TAG`. Default: `hostler-app:latest`. */
  readonly image?: string
  /** What it listens on unless `PORT` says otherwise. Default: 80. */
  readonly port?: number
  /** The image brings its own health check, which asks `/health` every second. Default: false. */
  readonly healthCheck?: boolean
}

/** The same as a container's own, for Docker's create request. */
export const HEALTH_CHECK: Dockerode.HealthConfig
