import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { Instance } from '../../src/model/instance.js'
import { isLive } from '../../src/model/instance.js'
import type { Source } from '../../src/sources/source.js'
import { until } from '../support/wait.js'

/** A source together with the world that it looks at. */
export interface SourceHarness {
  readonly source: Source
  /** Makes exactly these instances exist, live, by name. One that is there already is not touched. */
  put(names: string[]): Promise<void>
  /** The start of an outage: from here on the source cannot see anything. */
  breakOff(): Promise<void>
  /** The end of the outage, with the same instances as before. */
  mend(): Promise<void>
  close(): Promise<void>
}

/** What every source promises in `src/sources/source.ts`, checked against a real one. */
export function describeSourceContract(title: string, create: () => Promise<SourceHarness>): void {
  describe(`the source contract: ${title}`, () => {
    let opened: SourceHarness | undefined
    let watching: Watching | undefined

    const open = async (...names: string[]): Promise<SourceHarness> => {
      opened = await create()
      await opened.put(names)
      return opened
    }
    const watch = (source: Source): Watching => {
      watching = follow(source)
      return watching
    }

    afterEach(async () => {
      await watching?.stop()
      await opened?.close()
      watching = undefined
      opened = undefined
    })

    test('list tells everything that exists, live, sorted by id, each once', async () => {
      const { source } = await open('delta', 'alpha', 'charlie')
      const instances = await list(source)
      const ids = instances.map(({ id }) => id)
      expect(namesOf(instances)).toEqual(['alpha', 'charlie', 'delta'])
      expect(instances.every(isLive)).toBe(true)
      expect(new Set(instances.map((instance) => instance.source))).toEqual(new Set([source.name]))
      expect(ids).toEqual([...new Set(ids)].sort())
    })

    test('what did not change is the same object between two lists', async () => {
      const { source, put } = await open('alpha', 'bravo')
      const before = await list(source)
      const same = await list(source)
      expect(same).toHaveLength(2)
      for (const [index, instance] of same.entries()) expect(instance).toBe(before[index])

      await put(['bravo', 'charlie'])
      const after = await list(source)
      expect(namesOf(after)).toEqual(['bravo', 'charlie'])
      expect(byName(after, 'bravo')).toBe(byName(before, 'bravo'))
    })

    test('list throws during an outage rather than tell less, and works again after it', async () => {
      const { source, breakOff, mend } = await open('alpha', 'bravo')
      await list(source)
      await breakOff()
      await expect(list(source)).rejects.toThrow()
      await mend()
      const instances = await until('list works again', () => list(source))
      expect(namesOf(instances)).toEqual(['alpha', 'bravo'])
    })

    test('watch reports everything first, then what comes and what goes', async () => {
      const { source, put } = await open('alpha', 'bravo')
      const { reports, failures } = watch(source)
      await until('the first report', () => reports.length > 0)
      const [first] = reports
      expect(namesOf(first ?? [])).toEqual(['alpha', 'bravo'])

      await put(['alpha', 'bravo', 'charlie'])
      await until('charlie is reported', () => latestNames(reports) === 'alpha bravo charlie')
      expect(byName(reports.at(-1), 'alpha')).toBe(byName(first, 'alpha'))

      await put(['charlie'])
      await until('alpha and bravo are gone', () => latestNames(reports) === 'charlie')
      expect(failures).toEqual([])
    })

    test('watch tells of an outage once, reports nothing during it, and again after it', async () => {
      const { source, breakOff, mend } = await open('alpha', 'bravo')
      const { reports, failures } = watch(source)
      await until('the first report', () => reports.length > 0)
      const [first] = reports
      await breakOff()
      await until('the outage is told', () => failures.length > 0)
      const reported = reports.length
      await delay(700)
      expect(failures).toHaveLength(1)
      expect(failures[0]).toBeInstanceOf(Error)
      expect(reports).toHaveLength(reported)

      await mend()
      await until('it reports again', () => reports.length > reported)
      expect(latestNames(reports)).toBe('alpha bravo')
      expect(byName(reports.at(-1), 'alpha')).toBe(byName(first, 'alpha'))
      expect(failures).toHaveLength(1)
    })

    test('abort ends list and watch at once, and nothing stays open', async () => {
      const { source } = await open('alpha')
      await list(source)
      const before = openResources()
      await expect(source.list(AbortSignal.abort())).rejects.toThrow()
      const listing = new AbortController()
      const listed = source.list(listing.signal)
      listing.abort()
      await expect(listed).rejects.toThrow()

      const { reports, stop } = watch(source)
      await until('the first report', () => reports.length > 0)
      await stop()
      await until('no more is open than before', () => extraResources(before).length === 0)
    })

    test('abort ends a watch that is waiting for an outage to end', async () => {
      const { source, breakOff, mend } = await open('alpha')
      const before = openResources()
      await breakOff()
      const { failures, stop } = watch(source)
      await until('the outage is told', () => failures.length > 0)
      await stop()
      await mend()
      await until('no more is open than before', () => extraResources(before).length === 0)
    })
  })
}

interface Watching {
  readonly reports: (readonly Instance[])[]
  readonly failures: unknown[]
  /** Aborts the watch and waits for its end; fails when it rejects. */
  stop(): Promise<void>
}

function follow(source: Source): Watching {
  const controller = new AbortController()
  const reports: (readonly Instance[])[] = []
  const failures: unknown[] = []
  const events = {
    report: (instances: readonly Instance[]) => void reports.push(instances),
    failed: (error: unknown) => void failures.push(error),
  }
  const ended = source.watch(events, controller.signal)
  const stop = async () => {
    controller.abort()
    await ended
  }
  return { reports, failures, stop }
}

const list = (source: Source) => source.list(new AbortController().signal)

const namesOf = (instances: readonly Instance[]) => instances.map(({ name }) => name).sort()

const latestNames = (reports: (readonly Instance[])[]) => namesOf(reports.at(-1) ?? []).join(' ')

const byName = (instances: readonly Instance[] | undefined, name: string) => {
  const found = instances?.find((instance) => instance.name === name)
  if (!found) throw new Error(`${name} is not among ${namesOf(instances ?? []).join(' ') || 'none'}`)
  return found
}

/** What keeps the process alive now: sockets, timers, watchers. */
const openResources = () => process.getActiveResourcesInfo()

/** What is open now that was not in `before`, each as often as it is too many. */
function extraResources(before: readonly string[]): string[] {
  const left = [...before]
  return openResources().filter((resource) => {
    const index = left.indexOf(resource)
    if (index >= 0) left.splice(index, 1)
    return index < 0 && /Socket|Pipe|TLS|Timeout|FSEvent|FSReq|Process/.test(resource)
  })
}
