// Requests a second at 5,000 hostnames: our rendered look-up against the predecessor's `map_dom` over the same domain map, on the
// same HAProxy and machine, in turns. wrk asks for random hosts over 50 kept connections.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findProgram } from '../../scripts/servers.mjs'
import { DOMAIN } from '../fleet.mjs'
import { freePort, prepare, start } from '../hostler.mjs'
import { summarise } from '../statistics.mjs'

export const needs = ['haproxy', 'wrk']
const HOSTS = 5000
const TURNS = 4
const SECONDS = 4

export async function measure({ cleanup, say }) {
  const folder = cleanup.folder('hostnames')
  const stacks = join(folder, 'stacks.yml')
  writeFileSync(stacks, JSON.stringify({ instances: Array.from({ length: HOSTS }, (_, index) => entry(index)) }))
  const env = { HOSTLER_SOURCES: 'file', HOSTLER_FILE: stacks, HOSTLER_TEMPLATES: answeringBackends(folder) }
  const prepared = await prepare(folder, env)
  const hostler = start(cleanup, 'run', prepared)
  await hostler.applied({ since: 0 })
  const theirPort = await startPredecessor(cleanup, prepared)
  const script = join(folder, 'hosts.lua')
  writeFileSync(script, lua())
  const [ours, theirs] = [[], []]
  for (let turn = 0; turn < TURNS; turn++) {
    ours.push(load(prepared.port, script))
    theirs.push(load(theirPort, script))
    say(`turn ${turn + 1}: ours ${ours.at(-1)}, map_dom ${theirs.at(-1)} requests/s`)
  }
  await hostler.stop()
  const [mine, baseline] = [summarise(ours), summarise(theirs)]
  const ratio = mine.p50 / baseline.p50
  const note = `${HOSTS} hostnames; requests/s: ours ${mine.p50}, map_dom ${baseline.p50}`
  return [{ what: 'requests/s against the predecessor’s map_dom', unit: '×', figures: { ratio }, baseline, note }]
}

const entry = (index) => ({
  ...{ name: `app-r${index}-1`, stack: `app-r${index}`, address: '127.0.0.1', labels: { 'hostler.port': '9' } },
})

/** Every backend answers by itself, without a server behind it, so that the look-up is what is measured. */
function answeringBackends(folder) {
  const templates = join(folder, 'templates')
  mkdirSync(templates)
  const backend = 'backend {{name}}\n  mode http\n  http-request return status 200 content-type text/plain string ok\n'
  writeFileSync(join(templates, '_backend.hbs'), backend)
  return templates
}

/** The predecessor's frontend over the files that Hostler rendered. */
async function startPredecessor(cleanup, { out, folder }) {
  const port = await freePort()
  const text = readFileSync(join(out, 'haproxy-frontends.cfg'), 'utf8')
  const rule = `  use_backend %[req.hdr(host),lower,map_dom(${join(out, 'domain.map')},be_sorry)]`
  const frontend = `frontend www\n  mode http\n  bind 127.0.0.1:${port}\n  option idle-close-on-response\n${rule}\n`
  if (!text.includes('frontend hostler')) throw new Error('the rendered frontend is not what this compares with')
  const config = join(folder, 'predecessor.cfg')
  writeFileSync(config, frontend)
  copyFileSync(join(out, 'haproxy-backends.cfg'), join(folder, 'backends.cfg'))
  const files = [join(out, 'haproxy.cfg'), config, join(folder, 'backends.cfg')].flatMap((file) => ['-f', file])
  const child = spawn(findProgram('haproxy'), ['-db', ...files], { stdio: 'ignore' })
  cleanup.add(async () => {
    child.kill('SIGKILL')
    await once(child, 'exit').catch(() => undefined)
  })
  await delay(1500)
  if (child.exitCode !== null) throw new Error(`the predecessor's configuration was refused: ${child.exitCode}`)
  return port
}

const lua = () => `
math.randomseed(os.time())
request = function()
  return wrk.format('GET', '/', { ['Host'] = 'app-r' .. math.random(0, ${HOSTS - 1}) .. '.${DOMAIN}' })
end
`

function load(port, script) {
  const args = ['-t1', '-c50', `-d${SECONDS}s`, '-s', script, `http://127.0.0.1:${port}/`]
  const output = execFileSync(findProgram('wrk'), args, { encoding: 'utf8' })
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1] ?? Number.NaN)
}
