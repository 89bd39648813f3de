import { printable } from '../../lib/printable.js'
import type { Instance } from '../../model/instance.js'
import { hasRanconLabel } from '../../model/rancon.js'
import type { Endpoint } from './endpoints.js'

/** What placeholders stand for, by their names in lower case. */
export type Fields = ReadonlyMap<string, string>

/** Says that a placeholder stands for nothing. */
export type Unknown = (placeholder: string) => void

const UNDEFINED = 'UNDEFINED'

/** Whatever stands between two `%`, as predecessor 5 has it. */
export const PLACEHOLDER = /%([^%]{1,256})%/g

/** `%NAME%` in any case. An unknown one becomes `UNDEFINED`, as predecessor 5 has it. */
export const fill = (template: string, fields: Fields, unknown: Unknown): string =>
  template.replace(PLACEHOLDER, (placeholder, name: string) => {
    const value = fields.get(name.toLowerCase())
    if (value === undefined) unknown(printable(placeholder, 80))
    return value ?? UNDEFINED
  })

/** An instance, and what its stack and service are called. */
export interface Named {
  readonly instance: Instance
  readonly stack: string
  readonly service: string
}

/**
 * The fields of one endpoint. Labels `rancon.X` become `x` (dots `_`), but never host, port, service, stack and environment;
 * `name` in a label may hold `%NAME%`, which then is the name that there would have been without the label.
 */
export function fieldsOf(
  named: Named,
  endpoint: Endpoint,
  { nameScheme, announcer }: { readonly nameScheme: string; readonly announcer: string },
  unknown: (label: string) => Unknown,
): Fields {
  const { instance, stack, service } = named
  const fixed: [string, string][] = [
    ['host', endpoint.host],
    ['port', String(endpoint.port)],
    ['service', service],
    ['stack', stack],
    ['announcer', announcer],
    ...(instance.environment === undefined ? [] : ([['environment', instance.environment]] as [string, string][])),
  ]
  const isRancon = hasRanconLabel(instance.labels)
  const plain = new Map([...labelFields(instance), ['name', isRancon ? service : ownName(named)], ...fixed] as const)
  const name = instance.labels['rancon.name'] ?? (isRancon ? nameScheme : '%NAME%')
  const written = new Map([...labelFields(instance), ['name', name] as const])
  return new Map([...Array.from(written, ([key, value]) => [key, fill(value, plain, unknown(key))] as const), ...fixed])
}

const labelFields = ({ labels }: Instance): (readonly [string, string])[] =>
  Object.entries(labels)
    .filter(([label]) => label.startsWith('rancon.') && label.length > 'rancon.'.length)
    .map(([label, value]) => [label.slice('rancon.'.length).replaceAll('.', '_').toLowerCase(), value] as const)

/** As backends are called: the stack, and the service where the stack is more than that. */
function ownName({ instance, stack, service }: Named): string {
  return service === stack || service === instance.name ? stack : `${stack}-${service}`
}
