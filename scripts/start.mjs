// `npm start`: Hostler on an embedded default. Small demo stacks behind a real HAProxy, and any labelled container on this
// machine if Docker answers.
import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { startDemoApps } from './demo-apps.mjs'
import { ensureServers, findProgram } from './servers.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const say = (text) => process.stdout.write(`${text}\n`)

if (ensureServers(['haproxy']).length > 0) process.exit(3)
say('Building ...')
const built = build()
if (built !== 0) process.exit(built)

const folder = mkdtempSync(join(tmpdir(), 'hostler-demo-'))
const apps = await startDemoApps()
const stacks = join(folder, 'stacks.yml')
// JSON is YAML; one instance a line is easy to edit.
writeFileSync(stacks, `instances:\n${apps.instances.map((instance) => `  - ${JSON.stringify(instance)}\n`).join('')}`)
copyFileSync(join(root, 'haproxy', 'haproxy.cfg'), join(folder, 'haproxy.cfg'))

const docker = await dockerAnswers()
const env = {
  HOSTLER_DOMAIN: 'localhost',
  HOSTLER_SOURCES: docker ? 'file,docker' : 'file',
  HOSTLER_PROXY: 'haproxy',
  HOSTLER_HTTP_PORT: '8080',
  HOSTLER_BIND: '127.0.0.1',
  HOSTLER_FILE: stacks,
  HOSTLER_STATE_DIR: join(folder, 'state'),
  HOSTLER_PRIVATE_LISTEN: '127.0.0.1:8008',
  HAPROXY_BIN: findProgram('haproxy'),
  HAPROXY_CONFIG: join(folder, 'haproxy.cfg'),
  HAPROXY_BACKEND_CONFIG: join(folder, 'haproxy-backends.cfg'),
  HAPROXY_DOMAIN_MAP: join(folder, 'domain.map'),
  HAPROXY_SSL_CERT: join(folder, 'server.pem'),
  HOSTLER_CERT_DIR: join(folder, 'certs'),
  HOSTLER_LOG_LEVEL: 'warn',
  ...process.env,
}
const hostler = spawn(process.execPath, [join(root, 'dist', 'main.js'), 'run'], { env, stdio: 'inherit' })
const ended = new Promise((resolve) => hostler.once('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1))))
// A terminal sends Ctrl-C to the child too; anything else is passed on.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => hostler.kill('SIGTERM'))

const code = await Promise.race([ended, announce()])
const exitCode = code ?? (await ended)
await apps.stop()
rmSync(folder, { recursive: true, force: true })
process.exit(exitCode)

/** Says what to open once it is ready. */
async function announce() {
  const address = env.HOSTLER_PRIVATE_LISTEN.replace('0.0.0.0', '127.0.0.1')
  while (hostler.exitCode === null && (await statusOf({ path: '/readyz', ...hostAndPort(address) })) !== 200)
    await delay(50)
  if (hostler.exitCode !== null) return undefined
  const at = (name, path = '') => `http://${name}.${env.HOSTLER_DOMAIN}:${env.HOSTLER_HTTP_PORT}${path}`.padEnd(44)
  say(`
  Hostler runs, with HAProxy as its proxy. Open:

    ${at('hello')}  a stack with one container
    ${at('shop')}  one with three that take turns
    ${at('shop', '/api')}  its second service, by path
    ${at('anything.preview')}  a wildcard
    ${at('nobody')}  what an unknown name gets
    ${`http://${address}`.padEnd(44)}  Hostler's own page

  Edit ${stacks} and the routes follow at once.
  ${docker ? `Docker answers: docker run --rm --name web --label hostler.port=80 nginx  gives  http://web.localhost:${env.HOSTLER_HTTP_PORT}` : 'Docker does not answer here, so only the demo stacks are shown.'}
  In another terminal: node dist/main.js status.  Ctrl-C ends it.
`)
  return undefined
}

function hostAndPort(address) {
  const [host, port] = address.split(':')
  return { host, port }
}

function statusOf(options) {
  return new Promise((resolve) => {
    const asked = request({ timeout: 1000, ...options }, (response) => resolve(response.resume().statusCode))
    asked.on('error', () => resolve(undefined))
    asked.on('timeout', () => asked.destroy())
    asked.end()
  })
}

async function dockerAnswers() {
  const host = (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').split(',')[0]
  if (!host.startsWith('unix://')) return process.env.DOCKER_HOST !== undefined
  return (await statusOf({ socketPath: host.slice('unix://'.length), path: '/_ping' })) === 200
}
