import { HostlerError } from '../../../lib/errors.js'
import type { ContainerNodes } from './built-in.js'
import type { Member } from './member.js'
import { filesOf, type Glob, isModule, readWanted, type Wanted } from './wanted.js'
import { watchPaths } from './watching.js'

/** The policies that the settings name, and those that their globs have found. */
export interface Roll {
  /** Looks for files that have come. One whose file has gone stays as it was. */
  complete(): void
  readonly members: readonly Member[]
  troubles(): readonly string[]
  /** False while a glob finds nothing: its folder may not be there yet. */
  isWhole(): boolean
  /** Follows the files until aborted. */
  run(changed: () => void, signal: AbortSignal): Promise<void>
}

export interface RollInputs {
  /** Names of built-in ones, files, and globs of files. */
  readonly policies: readonly string[]
  readonly builtIns: readonly ContainerNodes[]
  readonly enlist: (wanted: Wanted) => Member
}

interface Search {
  readonly glob: Glob
  isStale: boolean
  isEmpty: boolean
  /** Files that cannot be used. */
  troubles: readonly string[]
}

/** @throws HostlerError `CONFIG` for a policy that is nowhere, or two of one name */
export function createRoll({ policies, builtIns, enlist }: RollInputs): Roll {
  const searches: Search[] = []
  const members: Member[] = []
  /** Files that are watched by themselves. */
  const named: string[] = []
  const like = ({ name }: Wanted) => members.find(({ wanted }) => wanted.name === name)

  for (const word of policies.map((text) => readWanted(text, builtIns))) {
    const isGlob = 'pattern' in word
    const found = isGlob ? filesOf(word) : [word]
    if (isGlob) searches.push({ glob: word, isStale: false, isEmpty: found.length === 0, troubles: [] })
    else if ('path' in word) named.push(word.path)
    for (const one of found) {
      if (like(one)) throw new HostlerError('CONFIG', twoLike(one))
      members.push(enlist(one))
    }
  }

  function complete(search: Search): void {
    const found = filesOf(search.glob)
    for (const one of found) if (!like(one)) members.push(enlist(one))
    const others = found.filter((one) => pathOf(like(one)?.wanted) !== pathOf(one))
    search.troubles = others.map((one) => `${twoLike(one)}; the first one counts, and not ${pathOf(one)}`)
    search.isEmpty = found.length === 0
    search.isStale = false
  }

  function outdate(path: string): void {
    for (const member of members) if (pathOf(member.wanted) === path) member.outdate()
  }

  return {
    members,
    complete() {
      for (const search of searches) if (search.isStale || search.isEmpty) complete(search)
    },
    troubles: () => searches.flatMap(({ glob, isEmpty, troubles }) => (isEmpty ? nobodyAt(glob) : troubles)),
    isWhole: () => searches.every(({ isEmpty }) => !isEmpty),
    async run(changed, signal) {
      const ofPolicy = (path?: string) => {
        if (path !== undefined) outdate(path)
        changed()
      }
      const inFolder = (search: Search) => (path?: string) => {
        if (path !== undefined && !isModule(path)) return
        search.isStale = true
        ofPolicy(path)
      }
      await Promise.all([
        watchPaths({ paths: named }, ofPolicy, signal),
        ...searches.map((search) => watchPaths(search.glob.watched, inFolder(search), signal)),
      ])
    },
  }
}

const pathOf = (wanted: Wanted | undefined): string | undefined =>
  wanted && 'path' in wanted ? wanted.path : undefined

const twoLike = ({ name }: Wanted): string =>
  `two policies are called "${name}" (HOSTLER_POLICIES); give each file a name of its own`

const nobodyAt = ({ pattern }: Glob): string =>
  `no file is called ${pattern} (HOSTLER_POLICIES); what was announced stays: put its policies there, or leave it out`
