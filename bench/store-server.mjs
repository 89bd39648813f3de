// A server of ours that keeps state in a folder and can be killed and started again.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * @param {{ folder: string, command: string[], answers: () => Promise<boolean> }} server its state is in `data` in the folder;
 *   `answers` may throw while it does not
 */
export async function startStore(cleanup, { folder, command, answers }) {
  const path = join(folder, 'log')
  let child
  async function start() {
    const log = openSync(path, 'a')
    // It must not outlive a run that is killed.
    child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], { stdio: ['ignore', log, log] })
    closeSync(log)
    for (const deadline = performance.now() + 30_000; !(await answers().catch(() => false)); await delay(5)) {
      if (child.exitCode === null && performance.now() < deadline) continue
      throw new Error(`${command[0]} does not answer:\n${readFileSync(path, 'utf8').slice(-2000)}`)
    }
  }
  async function kill() {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  cleanup.add(kill)
  await start()
  return {
    kill,
    /** Starts again, with what it knew or with nothing; resolves when it answers. */
    async resume({ isEmpty = false } = {}) {
      if (isEmpty) rmSync(join(folder, 'data'), { recursive: true, force: true })
      await start()
    },
  }
}
