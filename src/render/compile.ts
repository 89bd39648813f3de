import Handlebars from 'handlebars'
import { HostlerError, messageOf } from '../lib/errors.js'
import { didYouMean } from '../lib/nearest.js'
import { isClosed } from './closed.js'
import { helpers } from './helpers.js'

/** A template that has been read: its file name (for errors) and its text. */
export interface TemplateSource {
  /** `haproxy-backends.cfg.hbs`; a leading `_` makes it a partial. */
  readonly file: string
  readonly text: string
}

export interface CompiledTemplates {
  /** Renders every template that is not a partial. @throws HostlerError `TEMPLATE` with file, line and the nearest known name. */
  render(context: object): RenderedText[]
  /** Renders one of them. @throws HostlerError `TEMPLATE`, also when there is none of that name */
  renderOne(name: string, context: object): string
}

export interface CompileOptions {
  /** `html`: what `{{…}}` gives is made harmless in text and in quoted attributes. */
  readonly escape?: 'html'
}

export interface RenderedText {
  /** The template's file name without `.hbs`. */
  readonly name: string
  readonly text: string
}

/** Handlebars' own block helpers. */
const BUILT_IN = ['if', 'unless', 'each', 'with', 'lookup', 'log']

const OPTIONS = {
  strict: true,
  preventIndent: true,
  knownHelpersOnly: true,
  knownHelpers: Object.fromEntries([...BUILT_IN, ...Object.keys(helpers)].map((name) => [name, true])) as never,
}

/**
 * Compiles templates that belong together: they see each other's partials. Strict: a field or helper that does not
 * exist is an error, never an empty text.
 * @throws HostlerError `TEMPLATE`
 */
export function compileTemplates(
  sources: readonly TemplateSource[],
  { escape }: CompileOptions = {},
): CompiledTemplates {
  const engine = Handlebars.create()
  for (const [name, { call }] of Object.entries(helpers)) {
    // Handlebars adds its options as the last argument.
    engine.registerHelper(name, (...values: unknown[]) => call(...(values.slice(0, -1) as never[])))
  }
  const options = { ...OPTIONS, noEscape: escape !== 'html' }
  const templates = sources.map((source) => compileOne(engine, source, options))
  const partials = new Map(
    templates.filter(({ file }) => isPartial(file)).map((partial) => [partialName(partial), partial]),
  )
  for (const [name, { run, program }] of partials) {
    engine.registerPartial(name, closedOver(program, partials) ? remembering(run) : run)
  }
  const pages = templates.filter(({ file }) => !isPartial(file))
  return {
    render: (context) => pages.map(({ file, run }) => ({ name: stem(file), text: run(context) })),
    renderOne(name, context) {
      const page = pages.find(({ file }) => stem(file) === name)
      if (!page) throw new HostlerError('TEMPLATE', `there is no template ${name}.hbs`)
      return page.run(context)
    },
  }
}

export const isPartial = (file: string): boolean => file.startsWith('_')

const stem = (file: string): string => file.replace(/\.hbs$/, '')

interface CompiledTemplate {
  readonly file: string
  readonly program: hbs.AST.Program
  readonly run: Handlebars.TemplateDelegate
}

const partialName = ({ file }: CompiledTemplate): string => stem(file).slice(1)

function compileOne(
  engine: typeof Handlebars,
  source: TemplateSource,
  options: Parameters<typeof engine.compile>[1],
): CompiledTemplate {
  let program: hbs.AST.Program
  let compiled: Handlebars.TemplateDelegate
  try {
    program = engine.parse(source.text)
    compiled = engine.compile(program, options)
  } catch (error) {
    throw explain(error, source, {})
  }
  const run = (context: unknown, runtime?: Handlebars.RuntimeOptions) => {
    try {
      return compiled(context, runtime)
    } catch (error) {
      throw explain(error, source, context)
    }
  }
  return { file: source.file, program, run }
}

function closedOver(
  program: hbs.AST.Program,
  partials: ReadonlyMap<string, CompiledTemplate>,
  within: string[] = [],
): boolean {
  return isClosed(program, (name) => {
    const partial = partials.get(name)
    return partial !== undefined && !within.includes(name) && closedOver(partial.program, partials, [...within, name])
  })
}

/** Keeps a partial's output for each object it was given. Context objects are never changed, only replaced. */
function remembering(run: Handlebars.TemplateDelegate): Handlebars.TemplateDelegate {
  const outputs = new WeakMap<object, string>()
  return (context: unknown, options?: Handlebars.RuntimeOptions) => {
    if (typeof context !== 'object' || context === null) return run(context, options)
    const known = outputs.get(context)
    if (known !== undefined) return known
    // A template's output is a tree of the pieces that it was put together from, which would be walked again in every round.
    const output = Buffer.from(run(context, options)).toString()
    outputs.set(context, output)
    return output
  }
}

interface HandlebarsError extends Error {
  lineNumber?: number
}

function explain(error: unknown, source: TemplateSource, context: unknown): HostlerError {
  if (error instanceof HostlerError && error.message.startsWith('template ')) return error
  const message = messageOf(error)
  const missing = /"(.+?)" not defined in/.exec(message)?.[1]
  const unknownHelper = /unknown helper (\S+)/.exec(message)?.[1]
  const noPartial = /[Tt]he partial (\S+) could not be found/.exec(message)?.[1]
  const line = (error as HandlebarsError).lineNumber ?? Number(/[Pp]arse error on line (\d+)/.exec(message)?.[1] ?? 0)
  const syntax = /^Parse error on line \d+:\n(?:.*\n)*(.+)$/.exec(message)?.[1]
  let reason = syntax ?? message.replace(/ - \d+:\d+$/, '')
  if (missing !== undefined) reason = `no field is called "${missing}" here.${didYouMean(missing, fieldNames(context))}`
  if (unknownHelper !== undefined) {
    reason = `no helper is called "${unknownHelper}".${didYouMean(unknownHelper, [...BUILT_IN, ...Object.keys(helpers)])}`
  }
  if (noPartial !== undefined) reason = `there is no partial _${noPartial}.hbs`
  const place = line || lineOf(source.text, missing ?? unknownHelper ?? noPartial)
  // Without a cause: Handlebars says the same in words of its own, which would be printed behind ours.
  return new HostlerError('TEMPLATE', `template ${source.file}${place ? ` line ${place}` : ''}: ${reason}`)
}

/** The first line that mentions a name; for errors that carry no position. */
function lineOf(text: string, name: string | undefined): number {
  if (name === undefined) return 0
  return text.split('\n').findIndex((line) => line.includes('{{') && line.includes(name)) + 1
}

/** Names of fields in a context, to a depth that covers ours; lists are represented by their first item. */
function fieldNames(context: unknown, depth = 4, names = new Set<string>()): Set<string> {
  if (depth === 0 || typeof context !== 'object' || context === null) return names
  if (Array.isArray(context)) return fieldNames(context[0], depth - 1, names)
  for (const [name, value] of Object.entries(context)) {
    names.add(name)
    fieldNames(value, depth - 1, names)
  }
  return names
}
