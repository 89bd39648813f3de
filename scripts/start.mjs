// `npm start`: Hostler on an embedded default. Small demo stacks behind a real HAProxy, and if Docker answers, one that sleeps
// and wakes, and any labelled container on this machine. `npm start -- --no-build` takes dist as it is.
import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { startDemoApps } from './demo/apps.mjs'
import { createSleepyStack, findDocker, IDLE_SECONDS } from './demo/sleepy-stack.mjs'
import { ensureServers, findProgram } from './servers.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const say = (text) => process.stdout.write(`${text}\n`)

if (ensureServers(['haproxy']).length > 0) process.exit(3)
if (!process.argv.includes('--no-build')) {
  say('Building ...')
  const built = build()
  if (built !== 0) process.exit(built)
}

const folder = mkdtempSync(join(tmpdir(), 'hostler-demo-'))
const apps = await startDemoApps()
const stacks = join(folder, 'stacks.yml')
// JSON is YAML; one instance a line is easy to edit.
writeFileSync(stacks, `instances:\n${apps.instances.map((instance) => `  - ${JSON.stringify(instance)}\n`).join('')}`)
copyFileSync(join(root, 'haproxy', 'haproxy.cfg'), join(folder, 'haproxy.cfg'))

const docker = await findDocker()
const env = {
  HOSTLER_DOMAIN: 'localhost',
  HOSTLER_SOURCES: docker.socketPath || docker.elsewhere ? 'file,docker' : 'file',
  HOSTLER_PROXY: 'haproxy',
  HOSTLER_HTTP_PORT: '8080',
  HOSTLER_BIND: '127.0.0.1',
  HOSTLER_FILE: stacks,
  HOSTLER_STATE_DIR: join(folder, 'state'),
  HOSTLER_PUBLIC_LISTEN: `127.0.0.1:${await freePort()}`,
  HOSTLER_PRIVATE_LISTEN: '127.0.0.1:8008',
  HOSTLER_SLEEP_INTERVAL: '1s',
  HAPROXY_BIN: findProgram('haproxy'),
  HAPROXY_CONFIG: join(folder, 'haproxy.cfg'),
  HAPROXY_BACKEND_CONFIG: join(folder, 'haproxy-backends.cfg'),
  HAPROXY_DOMAIN_MAP: join(folder, 'domain.map'),
  HAPROXY_SSL_CERT: join(folder, 'server.pem'),
  HOSTLER_CERT_DIR: join(folder, 'certs'),
  HOSTLER_LOG_LEVEL: 'warn',
  ...process.env,
}
// In a session of its own: Ctrl-C at a terminal reaches everything else at once, and a second signal would cut its end short.
const hostler = spawn(process.execPath, [join(root, 'dist', 'main.js'), 'run'], {
  env,
  stdio: 'inherit',
  detached: true,
})
const ended = new Promise((resolve) => hostler.once('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1))))
let isEnding = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => {
    if (!isEnding) hostler.kill('SIGTERM')
    isEnding = true
  })

// While HAProxy starts, so that nobody waits for it.
const sleepy = createSleepy()
announce(await Promise.race([ready(), ended]), await sleepy)
const exitCode = await ended
await (await sleepy).remove?.().catch((error) => say(`Left behind in Docker: ${error.message}`))
await apps.stop()
rmSync(folder, { recursive: true, force: true })
process.exit(exitCode)

/** Resolves with what to call off later, or with why there is no such stack. */
async function createSleepy() {
  if (docker.elsewhere)
    return {
      why: `The containers of ${docker.elsewhere} are routed to; one that sleeps is shown with a Docker on this machine only.`,
    }
  if (!docker.socketPath)
    return { why: 'No Docker answers on this machine (DOCKER_HOST): nothing is there that could sleep and wake.' }
  try {
    return await createSleepyStack(docker.socketPath)
  } catch (error) {
    return { why: `Docker answers, but takes no container of the demo's: ${error.message}` }
  }
}

async function ready() {
  const [host, port] = env.HOSTLER_PRIVATE_LISTEN.replace('0.0.0.0', '127.0.0.1').split(':')
  while (hostler.exitCode === null && (await statusOf({ path: '/readyz', host, port })) !== 200) await delay(50)
  return 'ready'
}

/** Says what to open. */
function announce(state, { why }) {
  if (state !== 'ready' || hostler.exitCode !== null) return
  const at = (name, path = '') => `http://${name}.${env.HOSTLER_DOMAIN}:${env.HOSTLER_HTTP_PORT}${path}`.padEnd(44)
  const label = 'docker run --rm --name web --label hostler.port=80 nginx'
  say(`
  Hostler runs, with HAProxy as its proxy. Open:

    ${at('hello')}  a stack with one container
    ${at('shop')}  one with three that take turns
    ${at('shop', '/api')}  its second service, by path
    ${at('anything.preview')}  a wildcard
    ${at('nobody')}  what an unknown name gets
    ${`http://${env.HOSTLER_PRIVATE_LISTEN}`.padEnd(44)}  Hostler's own page

  ${
    why ??
    `One stack is a container that is asleep. Whoever asks for it wakes it; ${IDLE_SECONDS} s after the last request it sleeps again:

    ${at('sleepy')}  in a browser: a page that waits, then the app
    ${`curl -i ${at('sleepy').trim()}`.padEnd(44)}  held, then answered by the app
    HOSTLER_STATE_DIR=${env.HOSTLER_STATE_DIR} node dist/main.js sleep sleepy

  ${label}  gives  ${at('web').trim()}`
  }

  Edit ${stacks} and the routes follow at once.
  In another terminal: node dist/main.js status.  Ctrl-C ends it.
`)
}

function statusOf(options) {
  return new Promise((resolve) => {
    const asked = request({ timeout: 1000, ...options }, (response) => resolve(response.resume().statusCode))
    asked.on('error', () => resolve(undefined))
    asked.on('timeout', () => asked.destroy())
    asked.end()
  })
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
