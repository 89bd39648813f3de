import { command, type Execute, refusedStep, type StepContext, type StepOf } from './executor-context.js'
import { type CommandKind, verified } from './replies.js'
import { type Command, commandLine, MAX_COMMAND_BYTES, PAYLOAD_FRAME_BYTES } from './socket-command.js'
import type { Step } from './types.js'

export type EntryStep = StepOf<'add-map-entry' | 'set-map-entry' | 'remove-map-entry'>

const ENTRY_COMMANDS = {
  'add-map-entry': 'add-map',
  'set-map-entry': 'set-map',
  'remove-map-entry': 'del-map',
} as const satisfies Record<EntryStep['kind'], CommandKind>

export const isEntryStep = (step: Step): step is EntryStep => step.kind in ENTRY_COMMANDS

/**
 * Changes of single entries, sent together. Those after one that fails may have been done: they do not depend on each
 * other, and a reload follows. `onDone` is called for each that is verified, in order.
 */
export async function changeEntries(
  steps: readonly EntryStep[],
  { session }: StepContext,
  onDone: () => void,
): Promise<void> {
  const replies = await session.askAll(steps.map(entryCommand))
  for (const [i, step] of steps.entries()) {
    verified(ENTRY_COMMANDS[step.kind], replies[i] ?? { command: entryCommand(step), text: 'no reply' })
    onDone()
  }
}

function entryCommand(step: EntryStep): string {
  const value = step.kind === 'remove-map-entry' ? [] : [checkedValue(step.value)]
  const [verb = '', noun = ''] = ENTRY_COMMANDS[step.kind].split('-')
  return commandLine(verb, noun, checkedPath(step.map), checkedKey(step.key), ...value)
}

/** A version beside the one in use is filled, then takes its place in one instant. */
export const replaceMap: Execute<'replace-map'> = async ({ map, entries }, context) => {
  const path = checkedPath(map)
  const payloads = payloadsOf(entries)
  const version = await command(context, 'prepare-map', commandLine('prepare', 'map', path))
  try {
    const line = commandLine('add', 'map', `@${version}`, path)
    const commands: Command[] = payloads.map((payload) => ({ command: line, payload }))
    for (const reply of await context.session.askAll(commands)) verified('add-map', reply)
    await command(context, 'commit-map', commandLine('commit', 'map', `@${version}`, path))
  } catch (error) {
    // A version that is never committed would keep its memory.
    await context.undo((session) => session.ask(commandLine('clear', 'map', `@${version}`, path)))
    throw error
  }
}

/** Leaves room for the command line itself. */
const MAX_PAYLOAD_BYTES = MAX_COMMAND_BYTES - PAYLOAD_FRAME_BYTES - 1000

function payloadsOf(entries: ReadonlyMap<string, string>): string[] {
  const payloads: string[] = []
  let lines: string[] = []
  let bytes = 0
  for (const [key, value] of entries) {
    const line = `${checkedKey(key)} ${checkedValue(value)}`
    const size = Buffer.byteLength(line) + 1
    if (bytes + size > MAX_PAYLOAD_BYTES && lines.length > 0) {
      payloads.push(lines.join('\n'))
      lines = []
      bytes = 0
    }
    lines.push(line)
    bytes += size
  }
  return lines.length > 0 ? [...payloads, lines.join('\n')] : payloads
}

/** `#1` would be the number of a map, `@1` a version. */
function checkedPath(path: string): string {
  if (/^[#@]|^$/.test(path)) throw refusedStep(`The path of the map \`${path}\` would be taken for something else.`)
  return path
}

/** `#0x…` would be the address of an entry; a key ends at the first blank. */
function checkedKey(key: string): string {
  if (/^#|[\s\x00-\x1f\x7f]|^$/.test(key))
    throw refusedStep(`${JSON.stringify(key)} cannot be the key of a map's entry.`)
  return key
}

function checkedValue(value: string): string {
  if (/^\s|[\x00-\x1f\x7f]|\s$|^$/.test(value)) {
    throw refusedStep(`${JSON.stringify(value)} cannot be the value of a map's entry.`)
  }
  return value
}
