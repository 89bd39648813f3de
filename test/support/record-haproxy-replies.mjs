// Records what a real HAProxy answers to every command that Hostler sends, for test/fixtures/haproxy-replies:
//
//   node test/support/record-haproxy-replies.mjs HAPROXY_PROGRAM [FOLDER]
//
// One file per case, in a folder named after the version: `kind:`, `expect:` (done: it succeeded; failed; dump: it is the
// start of what was asked for), `command:` and `subject:` (the certificate), an empty line, then the bytes of the reply up
// to and with the prompt that ends it.
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const CONFIG = `global
  stats socket unix@./admin.sock mode 600 level admin
  stats socket unix@./user.sock mode 600 level user
  node fixture
  tune.ssl.default-dh-param 2048
defaults base
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend web
  bind unix@./web.sock
  use_backend %[req.hdr(host),map_str(hosts.map,app)]
frontend tls
  bind unix@./tls.sock ssl crt-list certificates.list
  default_backend app
backend app
  balance roundrobin
  server s1 127.0.0.1:9
  server s2 127.0.0.1:9 weight 7 disabled
  server s3 127.0.0.1:9 check inter 10s
backend held
  balance roundrobin
  server s1 127.0.0.1:HELD
backend static
  balance source
  server s1 127.0.0.1:9
backend empty
`

const PROMPT = '\n> '
const dir = mkdtempSync(join(tmpdir(), 'hostler-record-'))

/** A connection in interactive mode; `ask` gives the bytes up to the next prompt. */
async function openSession(socketName) {
  const socket = connect(join(dir, socketName))
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1')
  })
  const until = async (end) => {
    for (let tries = 0; !end(); tries++) {
      if (tries > 1000) throw new Error(`no prompt in ${JSON.stringify(received)}`)
      await delay(5)
    }
    const reply = received
    received = ''
    return reply
  }
  socket.write('prompt\nset severity-output number\n')
  await until(() => received === PROMPT + PROMPT)
  return {
    ask(command, payload) {
      socket.write(payload === undefined ? `${command}\n` : `${command} <<\n${payload}\n\n`)
      return until(() => received.endsWith(PROMPT))
    },
    close: () => socket.destroy(),
  }
}

function pem(name) {
  const [key, certificate] = [join(dir, `${name}.key`), join(dir, `${name}.crt`)]
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '3650']
  execFileSync('openssl', ['req', '-x509', ...newKey, '-keyout', key, '-out', certificate, '-subj', `/CN=${name}`], {
    stdio: 'ignore',
  })
  return { certificate: readFileSync(certificate, 'utf8').trim(), key: readFileSync(key, 'utf8').trim() }
}

/** [name, kind, expectation, command, payload?]; the expectation may depend on the version. */
function cases({ one, two, atLeast }) {
  const good = `${two.certificate}\n${two.key}`
  const mismatch = `${two.certificate}\n${one.key}`
  const from34 = atLeast(3, 4) ? 'done' : 'failed'
  const before33 = atLeast(3, 3) ? 'failed' : 'done'
  return [
    ['show-info', 'show-info', 'dump', 'show info'],
    ['show-backend', 'show-backend', 'dump', 'show backend'],
    ['show-servers-state', 'show-servers-state', 'dump', 'show servers state'],
    ['show-servers-state-of-one', 'show-servers-state', 'dump', 'show servers state app'],
    ['show-servers-state-of-none', 'show-servers-state', 'dump', 'show servers state empty'],
    ['show-servers-state-unknown', 'show-servers-state', 'failed', 'show servers state nowhere'],
    ['show-map', 'show-map', 'dump', 'show map hosts.map'],
    ['show-map-unknown', 'show-map', 'failed', 'show map nowhere.map'],
    ['show-map-list', 'other', 'dump', 'show map'],
    ['show-stat', 'show-stat', 'dump', 'show stat -1 6 -1'],
    ['show-ssl-cert-list', 'other', 'dump', 'show ssl cert'],
    ['show-ssl-cert', 'other', 'dump', 'show ssl cert one.pem'],
    ['show-ssl-crt-list', 'show-crt-list', 'dump', 'show ssl crt-list -n certificates.list'],
    ['show-ssl-crt-list-unknown', 'show-crt-list', 'failed', 'show ssl crt-list -n nowhere.list'],

    ['add-server', 'add-server', 'done', 'add server app/new 127.0.0.1:8081'],
    ['add-server-checked', 'add-server', 'done', 'add server app/checked 127.0.0.1:8082 check inter 2s weight 3'],
    ['add-server-twice', 'add-server', 'failed', 'add server app/new 127.0.0.1:8081'],
    ['add-server-static', 'add-server', 'failed', 'add server static/new 127.0.0.1:8081'],
    ['add-server-no-backend', 'add-server', 'failed', 'add server nowhere/new 127.0.0.1:8081'],
    ['add-server-port', 'add-server', 'failed', 'add server app/x 127.0.0.1:99999'],
    ['add-server-option', 'add-server', 'failed', 'add server app/x 127.0.0.1:81 bogus'],
    ['add-server-init-addr', 'add-server', 'failed', 'add server app/x 127.0.0.1:81 init-addr none'],
    ['add-server-no-name', 'add-server', 'failed', 'add server app/'],
    ['enable-health', 'enable-health', 'done', 'enable health app/checked'],
    ['enable-health-no-check', 'enable-health', 'failed', 'enable health app/new'],
    ['enable-health-no-server', 'enable-health', 'failed', 'enable health app/nobody'],
    ['enable-server', 'enable-server', 'done', 'enable server app/new'],
    ['enable-server-no-server', 'enable-server', 'failed', 'enable server app/nobody'],
    ['set-address', 'set-address', 'done', 'set server app/s1 addr 127.0.0.2 port 8083'],
    ['set-address-ip', 'set-address', 'done', 'set server app/s1 addr 127.0.0.3 port 8083'],
    ['set-address-port', 'set-address', 'done', 'set server app/s1 addr 127.0.0.3 port 8084'],
    ['set-address-v6', 'set-address', 'done', 'set server app/s1 addr ::1 port 8084'],
    ['set-address-nothing', 'set-address', 'done', 'set server app/s1 addr ::1 port 8084'],
    ['set-address-name', 'set-address', 'failed', 'set server app/s1 addr bogus port 80'],
    // Every version takes this port, as 34463.
    ['set-address-bad-port', 'set-address', 'done', 'set server app/s1 addr 127.0.0.1 port 99999'],
    ['set-address-no-server', 'set-address', 'failed', 'set server app/nobody addr 127.0.0.1 port 80'],
    ['set-weight', 'set-weight', 'done', 'set server app/s1 weight 12'],
    ['set-weight-range', 'set-weight', 'failed', 'set server app/s1 weight 1000'],
    ['set-weight-static', 'set-weight', 'failed', 'set server static/s1 weight 12'],
    ['set-weight-no-server', 'set-weight', 'failed', 'set server app/nobody weight 12'],
    ['set-state-drain', 'set-state', 'done', 'set server app/s1 state drain'],
    ['show-servers-state-drain', 'show-servers-state', 'dump', 'show servers state app'],
    ['set-state-ready', 'set-state', 'done', 'set server app/s1 state ready'],
    ['set-state-bogus', 'set-state', 'failed', 'set server app/s1 state bogus'],
    ['set-state-no-server', 'set-state', 'failed', 'set server app/nobody state maint'],
    ['del-server-not-in-maintenance', 'del-server', 'failed', 'del server app/new'],
    ['set-state-maint', 'set-state', 'done', 'set server app/new state maint'],
    ['del-server', 'del-server', 'done', 'del server app/new'],
    ['del-server-no-server', 'del-server', 'failed', 'del server app/new'],
    ['del-server-no-backend', 'del-server', 'failed', 'del server nowhere/new'],
    ['set-state-maint-held', 'set-state', 'done', 'set server held/s1 state maint'],
    ['del-server-busy', 'del-server', 'failed', 'del server held/s1'],

    ['add-map', 'add-map', 'done', 'add map hosts.map new.example app'],
    ['add-map-payload', 'add-map', 'done', 'add map hosts.map', 'b.example app\nc.example app'],
    ['add-map-payload-no-value', 'add-map', 'failed', 'add map hosts.map', 'b.example app\nc.example'],
    ['add-map-no-value', 'add-map', 'failed', 'add map hosts.map d.example'],
    ['add-map-no-map', 'add-map', 'failed', 'add map nowhere.map d.example app'],
    ['set-map', 'set-map', 'done', 'set map hosts.map new.example held'],
    ['set-map-no-key', 'set-map', 'failed', 'set map hosts.map nobody.example held'],
    ['set-map-no-map', 'set-map', 'failed', 'set map nowhere.map new.example held'],
    ['del-map', 'del-map', 'done', 'del map hosts.map new.example'],
    ['del-map-no-key', 'del-map', 'failed', 'del map hosts.map new.example'],
    ['del-map-no-map', 'del-map', 'failed', 'del map nowhere.map new.example'],
    ['prepare-map', 'prepare-map', 'done', 'prepare map hosts.map'],
    ['prepare-map-no-map', 'prepare-map', 'failed', 'prepare map nowhere.map'],
    ['add-map-version', 'add-map', 'done', 'add map @1 hosts.map', 'y.example app\nz.example app'],
    ['add-map-future-version', 'add-map', 'failed', 'add map @9 hosts.map', 'y.example app\nz.example app'],
    ['commit-map', 'commit-map', 'done', 'commit map @1 hosts.map'],
    ['commit-map-no-version', 'commit-map', 'failed', 'commit map @9 hosts.map'],
    ['commit-map-no-map', 'commit-map', 'failed', 'commit map @1 nowhere.map'],
    ['clear-map', 'clear-map', 'done', 'clear map @2 hosts.map'],
    ['show-map-after', 'show-map', 'dump', 'show map hosts.map'],

    ['set-cert', 'set-cert', 'done', 'set ssl cert one.pem', good],
    ['set-cert-other', 'set-cert', 'failed', 'set ssl cert other.pem', good],
    ['set-cert-again', 'set-cert', 'done', 'set ssl cert one.pem', good],
    ['commit-cert', 'commit-cert', 'done', 'commit ssl cert one.pem'],
    ['commit-cert-none', 'commit-cert', 'failed', 'commit ssl cert one.pem'],
    ['set-cert-mismatch', 'set-cert', 'done', 'set ssl cert one.pem', mismatch],
    ['commit-cert-mismatch', 'commit-cert', 'failed', 'commit ssl cert one.pem'],
    ['abort-cert', 'abort-cert', 'done', 'abort ssl cert one.pem'],
    ['abort-cert-none', 'abort-cert', 'failed', 'abort ssl cert one.pem'],
    ['set-cert-no-key', 'set-cert', 'done', 'set ssl cert one.pem', two.certificate],
    ['commit-cert-no-key', 'commit-cert', 'failed', 'commit ssl cert one.pem'],
    ['abort-cert-no-key', 'abort-cert', atLeast(3, 4) ? 'failed' : 'done', 'abort ssl cert one.pem'],
    ['set-cert-garbage', 'set-cert', 'failed', 'set ssl cert one.pem', 'garbage'],
    ['set-cert-unknown', 'set-cert', 'failed', 'set ssl cert nowhere.pem', good],
    ['set-cert-abort', 'set-cert', 'done', 'set ssl cert one.pem', good],
    ['abort-cert-transaction', 'abort-cert', 'done', 'abort ssl cert one.pem'],
    ['new-cert', 'new-cert', 'done', 'new ssl cert new.pem'],
    ['new-cert-twice', 'new-cert', 'failed', 'new ssl cert new.pem'],
    ['add-crt-list-empty', 'add-crt-list', 'failed', 'add ssl crt-list certificates.list new.pem'],
    ['set-cert-new', 'set-cert', 'done', 'set ssl cert new.pem', good],
    ['commit-cert-new', 'commit-cert', 'done', 'commit ssl cert new.pem'],
    ['add-crt-list', 'add-crt-list', 'done', 'add ssl crt-list certificates.list new.pem'],
    ['add-crt-list-payload', 'add-crt-list', 'done', 'add ssl crt-list certificates.list', 'new.pem two.example'],
    ['add-crt-list-no-cert', 'add-crt-list', 'failed', 'add ssl crt-list certificates.list nowhere.pem'],
    ['add-crt-list-no-list', 'add-crt-list', 'failed', 'add ssl crt-list nowhere.list new.pem'],
    ['show-ssl-crt-list-after', 'show-crt-list', 'dump', 'show ssl crt-list -n certificates.list'],
    ['del-cert-in-use', 'del-cert', 'failed', 'del ssl cert new.pem'],
    ['del-crt-list-no-line', 'del-crt-list', 'failed', 'del ssl crt-list certificates.list new.pem:99'],
    ['del-crt-list-many', 'del-crt-list', 'failed', 'del ssl crt-list certificates.list new.pem'],
    ['del-crt-list-line', 'del-crt-list', 'done', 'del ssl crt-list certificates.list new.pem:3'],
    ['del-crt-list', 'del-crt-list', 'done', 'del ssl crt-list certificates.list new.pem'],
    ['del-crt-list-no-cert', 'del-crt-list', 'failed', 'del ssl crt-list certificates.list nowhere.pem'],
    ['show-ssl-crt-list-deleted', 'show-crt-list', 'dump', 'show ssl crt-list -n certificates.list'],
    ['del-cert', 'del-cert', 'done', 'del ssl cert new.pem'],
    ['del-crt-list-default', 'del-crt-list', 'failed', 'del ssl crt-list certificates.list one.pem:1'],
    ['new-cert-unused', 'new-cert', 'done', 'new ssl cert unused.pem'],
    ['del-cert-unused', 'del-cert', 'done', 'del ssl cert unused.pem'],
    ['del-cert-unknown', 'del-cert', 'failed', 'del ssl cert nowhere.pem'],

    ['add-backend', 'add-backend', from34, 'add backend fresh from base mode http'],
    ['add-backend-twice', 'add-backend', 'failed', 'add backend fresh from base mode http'],
    ['add-backend-no-defaults', 'add-backend', 'failed', 'add backend other from nowhere mode http'],
    ['publish-backend', 'publish-backend', from34, 'publish backend fresh'],
    ['publish-backend-unknown', 'publish-backend', 'failed', 'publish backend nowhere'],
    ['add-server-fresh', 'add-server', from34, 'add server fresh/s1 127.0.0.1:9'],
    ['del-backend-published', 'del-backend', 'failed', 'del backend fresh'],
    ['unpublish-backend', 'unpublish-backend', from34, 'unpublish backend fresh'],
    ['del-backend-with-servers', 'del-backend', 'failed', 'del backend fresh'],
    ['del-server-fresh', 'del-server', from34, 'del server fresh/s1'],
    ['del-backend', 'del-backend', from34, 'del backend fresh'],
    ['del-backend-of-the-file', 'del-backend', 'failed', 'del backend app'],

    ['unknown-command', 'other', 'failed', 'bogus command'],
    ['unknown-show', 'show-info', 'failed', 'show nonsense'],
    ['denied-add-server', 'add-server', 'failed', '@user add server app/new 127.0.0.1:8081'],
    ['denied-set-weight', 'set-weight', 'failed', '@user set server app/s1 weight 12'],
    ['denied-add-map', 'add-map', before33, '@user add map hosts.map a.example app'],
    ['denied-commit-map', 'commit-map', 'failed', '@user commit map @1 hosts.map'],
    ['denied-set-cert', 'set-cert', 'failed', '@user set ssl cert one.pem', good],
    ['denied-show-map', 'show-map', atLeast(3, 3) ? 'failed' : 'dump', '@user show map hosts.map'],
  ]
}

function headOf({ kind, expect, command, payload }) {
  const [, , , third, fourth = payload?.split(' ')[0]] = command.split(' ')
  const subject = { cert: third, list: fourth?.replace(/:\d+$/, '') }[/cert$|list$/.exec(kind)?.[0]] ?? ''
  const shown = payload === undefined ? command : `${command} <<`
  return `kind: ${kind}\nexpect: ${expect}\ncommand: ${shown}\nsubject: ${subject}`
}

async function record(program, folder) {
  const version = /version (\d+)\.(\d+)\.(\d+)/.exec(execFileSync(program, ['-v'], { encoding: 'utf8' }))
  const [, major, minor] = version.map(Number)
  const atLeast = (x, y) => major > x || (major === x && minor >= y)
  const out = join(folder, version.slice(1, 4).join('.'))
  mkdirSync(out, { recursive: true })

  // Accepts and never answers: a server that is busy for ever.
  const silent = createServer(() => undefined)
  await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const [one, two] = [pem('one.example'), pem('two.example')]
  writeFileSync(join(dir, 'one.pem'), `${one.certificate}\n${one.key}\n`)
  writeFileSync(join(dir, 'certificates.list'), 'one.pem\none.pem one.example\n')
  writeFileSync(join(dir, 'hosts.map'), 'a.example app\nheld.example held\nspaces.example  two words\n')
  writeFileSync(join(dir, 'haproxy.cfg'), CONFIG.replace('HELD', silent.address().port))

  const haproxy = spawn(program, ['-db', '-f', 'haproxy.cfg'], { cwd: dir, stdio: ['ignore', 'ignore', 'inherit'] })
  try {
    await delay(1000)
    const busy = connect(join(dir, 'web.sock'))
    busy.write('GET / HTTP/1.1\r\nHost: held.example\r\n\r\n')
    const sessions = { admin: await openSession('admin.sock'), user: await openSession('user.sock') }
    for (const [name, kind, expect, line, payload] of cases({ one, two, atLeast })) {
      const command = line.replace(/^@user /, '')
      const reply = await sessions[line === command ? 'admin' : 'user'].ask(command, payload)
      const head = headOf({ kind, expect, command, payload })
      writeFileSync(join(out, `${name}.txt`), `${head}\n\n${reply}`, 'latin1')
    }
    for (const socket of [busy, sessions.admin, sessions.user]) socket.destroy?.() ?? socket.close()
  } finally {
    haproxy.kill('SIGKILL')
    silent.close()
    rmSync(dir, { recursive: true, force: true })
  }
  process.stdout.write(`${out}\n`)
}

const home = join(dirname(fileURLToPath(import.meta.url)), '..', 'fixtures', 'haproxy-replies')
const [program, folder = home] = process.argv.slice(2)
if (program === undefined) {
  process.stderr.write('usage: node test/support/record-haproxy-replies.mjs HAPROXY_PROGRAM [FOLDER]\n')
  process.exit(2)
}
await record(program, folder)
process.exit(0)
