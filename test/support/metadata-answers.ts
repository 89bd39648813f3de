/** What Rancher's metadata service holds and how it words it: the rules of the recorded answers, without the network. */
export type Answer = string | number | boolean | null | readonly Answer[] | { readonly [key: string]: Answer }
export type AnswerMap = { readonly [key: string]: Answer }

export const METADATA_VERSIONS = ['2015-07-25', '2015-12-19', '2016-07-29', 'latest'] as const
export type MetadataVersion = (typeof METADATA_VERSIONS)[number]

export const isMetadataVersion = (word: string): word is MetadataVersion =>
  (METADATA_VERSIONS as readonly string[]).includes(word)

export interface ContainerFacts {
  name: string
  stack?: string | null
  service?: string | null
  ip?: string
  labels?: Record<string, string>
  uuid?: string
  state?: string | null
  health?: string | null
  ports?: string[] | null
}

/** A container with every field that the service gives one. */
export function metadataContainer(facts: ContainerFacts): AnswerMap {
  const ip = facts.ip ?? '127.0.0.1'
  return {
    create_index: 1,
    health_state: facts.health ?? null,
    host_uuid: '515ef0f5-9826-4b07-b041-db0785098661',
    hostname: facts.name,
    ips: ip === '' ? [] : [ip],
    labels: facts.labels ?? {},
    name: facts.name,
    ports: facts.ports === undefined ? [] : facts.ports,
    primary_ip: ip,
    service_name: facts.service === undefined ? 'web' : facts.service,
    stack_name: facts.stack === undefined ? 'app' : facts.stack,
    start_count: 1,
    ...(facts.state === undefined ? {} : { state: facts.state }),
    uuid: facts.uuid ?? `uuid-${facts.name}`,
  }
}

/** The whole answer of a service that knows these containers: their services and stacks follow from them. */
export function metadataTree(containers: readonly AnswerMap[]): AnswerMap {
  const services = groupBy(
    containers.filter((container) => container['service_name']),
    (container) => `${container['stack_name']}/${container['service_name']}`,
  ).map((members) => ({
    containers: members,
    kind: 'service',
    labels: {},
    links: {},
    metadata: {},
    name: members[0]?.['service_name'] ?? null,
    ports: [],
    scale: members.length,
    stack_name: members[0]?.['stack_name'] ?? null,
    uuid: `uuid-${members[0]?.['stack_name']}-${members[0]?.['service_name']}`,
  }))
  const stacks = groupBy(services, (service) => String(service.stack_name)).map((members) => ({
    environment_name: 'Default',
    name: members[0]?.stack_name ?? null,
    services: members,
    uuid: `uuid-${members[0]?.stack_name}`,
  }))
  const hosts = [{ agent_ip: '127.0.0.1', hostId: 1, labels: {}, name: 'default', uuid: 'uuid-host' }]
  return { containers, host: null, hosts, services, stacks }
}

/**
 * The tree as one version words it: names in place of objects, or everything in lower case. Which version gives names
 * is as the recorded answers have it.
 */
export function inVersion(tree: AnswerMap, version: MetadataVersion): AnswerMap {
  if (version === '2015-12-19') return withNames(tree)
  return version === '2015-07-25' ? tree : (lowerNames(tree) as AnswerMap)
}

/** Follows a path; list items by index, name or uuid. Undefined when nothing is there. */
export function lookUp(answers: Answer, path: readonly string[]): Answer | undefined {
  let here: Answer | undefined = answers
  for (const key of path) {
    if (Array.isArray(here)) here = /^\d+$/.test(key) ? here[Number(key)] : here.find((item) => isCalled(item, key))
    else if (isMap(here)) here = Object.hasOwn(here, key) ? here[key] : undefined
    else return undefined
  }
  return here
}

/** Plain text: a map's keys one per line, a list's items as `0=name`, a value as it stands. */
export function toText(answer: Answer): string {
  if (answer === null) return ''
  if (Array.isArray(answer)) return answer.map((item, index) => `${index}${suffixOf(item)}\n`).join('')
  if (!isMap(answer)) return String(answer)
  const lines = Object.entries(answer).map(([key, value]) => encodeURIComponent(key) + (isNode(value) ? '/' : ''))
  return lines
    .sort()
    .map((line) => `${line}\n`)
    .join('')
}

const isMap = (answer: Answer | undefined): answer is AnswerMap =>
  typeof answer === 'object' && answer !== null && !Array.isArray(answer)

const isNode = (answer: Answer): boolean => typeof answer === 'object' && answer !== null

const isCalled = (item: Answer, key: string) => isMap(item) && (item['name'] === key || item['uuid'] === key)

function suffixOf(item: Answer): string {
  if (!isMap(item)) return isNode(item) ? '/' : ''
  const name = item['name'] ?? item['uuid']
  return typeof name === 'string' ? `=${encodeURIComponent(name)}` : '/'
}

function withNames(tree: AnswerMap): AnswerMap {
  return {
    ...tree,
    ...(tree['services'] === undefined ? {} : { services: namesUnder(tree['services'], 'containers') }),
    ...(tree['stacks'] === undefined ? {} : { stacks: namesUnder(tree['stacks'], 'services') }),
  }
}

function namesUnder(items: Answer, key: string): Answer {
  if (!Array.isArray(items)) return items
  return items.map((item) => {
    const children = isMap(item) ? item[key] : undefined
    if (!isMap(item) || !Array.isArray(children)) return item
    return { ...item, [key]: children.map((child) => (isMap(child) ? (child['name'] ?? null) : child)) }
  })
}

const NAME_KEYS = new Set(['name', 'service_name', 'stack_name', 'environment_name'])

function lowerNames(answer: Answer): Answer {
  if (Array.isArray(answer)) return answer.map(lowerNames)
  if (!isMap(answer)) return answer
  const entries = Object.entries(answer).map(([key, value]): [string, Answer] => {
    if (key === 'labels' || key === 'metadata') return [key, value]
    return [key, NAME_KEYS.has(key) && typeof value === 'string' ? value.toLowerCase() : lowerNames(value)]
  })
  return Object.fromEntries(entries)
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return [...groups.values()]
}
