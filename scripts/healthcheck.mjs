// The image's health check: exits 0 when Hostler answers and each proxy has had a plan in force. What fails later, a
// source that is down for one, is for /readyz to tell: a restart would not help, and might end a proxy that serves.
import { loadConfig } from '../dist/config/load.js'

const { host, port } = loadConfig({ env: process.env }).settings.private.listen
const address = host.includes(':') ? `[${host}]` : host
const get = (path) => fetch(`http://${address}:${port}${path}`, { signal: AbortSignal.timeout(4000) })

const ready = await get('/readyz')
if (ready.status === 503) {
  const { problems } = await ready.json()
  const { proxies } = await (await get('/api/state')).json()
  process.stdout.write(`${problems.join('\n')}\n`)
  if (!proxies.every(({ settled }) => settled)) process.exit(1)
} else if (!ready.ok) {
  process.stderr.write(`/readyz answered ${ready.status}\n`)
  process.exit(1)
}
