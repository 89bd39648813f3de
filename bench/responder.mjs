// A HAProxy that answers every request by itself: what stands behind the proxy that is measured.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findProgram } from '../scripts/servers.mjs'
import { freePort } from './hostler.mjs'

/** @returns the port on which it answers 200 */
export async function startResponder(cleanup, folder, address = '127.0.0.1') {
  const port = await freePort()
  const config = join(folder, 'responder.cfg')
  writeFileSync(
    config,
    `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend answer
  bind ${address}:${port}
  http-request return status 200 content-type text/plain string ok
`,
  )
  await startHaproxy(cleanup, ['-f', config], port)
  return port
}

/** Starts HAProxy in the foreground; resolves when it accepts connections. */
export async function startHaproxy(cleanup, args, port, env = process.env) {
  const child = spawn(findProgram('haproxy'), ['-db', ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk) => {
    said = `${said}${chunk}`.slice(-4000)
  })
  const ended = once(child, 'exit')
  const stop = cleanup.add(async () => {
    child.kill('SIGKILL')
    await ended
  })
  for (const deadline = performance.now() + 10_000; !(await accepts(port)); ) {
    if (child.exitCode !== null || performance.now() > deadline) throw new Error(`haproxy did not start: ${said}`)
    await delay(20)
  }
  return { child, stop }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const finish = (answer) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => finish(true)).once('error', () => finish(false))
  })
}
