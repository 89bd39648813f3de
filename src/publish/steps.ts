import { readFile, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import { attempt, unless } from './failure.js'
import type { Step } from './journal.js'
import { overwrite, syncFolder } from './write.js'

/** Carries out the steps of a journal. */
export interface Mover {
  /** Everybody sees all of it when it returns. @returns what brings it to the disk */
  move(steps: readonly Step[]): Promise<() => Promise<void>>
  /**
   * The same for a journal that may have been carried out in part: a step whose staged file is gone was done.
   * Returns the targets that still had to be changed.
   */
  resume(steps: readonly Step[]): Promise<string[]>
}

export function createMover(log: Logger): Mover {
  const warned = new Set<string>()
  const warnOnce = (path: string, message: string) => {
    if (warned.has(`${path} ${message}`)) return
    warned.add(`${path} ${message}`)
    log.warn({ path }, message)
  }

  /** A single file mounted into a container is busy: it can be written, never replaced. */
  async function writeInPlace(target: string, staged: string): Promise<void> {
    warnOnce(target, 'this file is a mount of its own, so it is written in place; mount its folder instead')
    await overwrite(target, await readFile(staged))
    await unlink(staged)
  }

  async function put(target: string, staged: string): Promise<void> {
    try {
      await rename(staged, target)
    } catch (error) {
      if (!['EBUSY', 'EXDEV'].includes(codeOf(error) ?? '')) throw error
      await writeInPlace(target, staged)
    }
  }

  async function remove(target: string): Promise<void> {
    try {
      await unlink(target)
    } catch (error) {
      if (codeOf(error) !== 'EBUSY') throw error
      warnOnce(target, 'this file is no longer rendered, but is a mount of its own and stays; unmount it')
    }
  }

  async function take({ target, staged }: Step): Promise<true> {
    await (staged === undefined ? remove(target) : put(target, staged))
    return true
  }

  async function carryOut(steps: readonly Step[], resumed: boolean): Promise<string[]> {
    const changed: string[] = []
    for (const step of steps) {
      const action = `${step.staged === undefined ? 'removing' : 'putting in place'} ${step.target}`
      const passOver = resumed || step.staged === undefined ? ['ENOENT'] : []
      if (await attempt(action, () => unless(passOver, () => take(step)))) changed.push(step.target)
    }
    return changed
  }

  const sync = async (steps: readonly Step[]) => {
    await Promise.all(foldersOf(steps).map(syncFolder))
  }

  return {
    async move(steps) {
      await carryOut(steps, false)
      return () => sync(steps)
    },
    async resume(steps) {
      const changed = await carryOut(steps, true)
      await sync(steps)
      return changed
    },
  }
}

const foldersOf = (steps: readonly Step[]) => [...new Set(steps.map((step) => dirname(step.target)))]
