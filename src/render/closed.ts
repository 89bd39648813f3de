/**
 * Tells whether a partial's text depends on nothing but the object it is given, so that its output can be kept for as
 * long as that object lives. With 10,000 backends this is what makes one change cost one backend's rendering.
 */

/** Loop variables of the nearest `each`. */
const LOOP_DATA = new Set(['index', 'key', 'first', 'last'])

/** Helpers that change what `this` and `../` mean inside their block. */
const SCOPES = new Set(['each', 'with'])

/** No `@root`, no `../` that leaves the partial, no loop variable of the caller, and only closed partials inside. */
export function isClosed(program: hbs.AST.Program, isClosedPartial: (name: string) => boolean): boolean {
  return nodeIsClosed(program, 0, isClosedPartial)
}

function nodeIsClosed(node: unknown, scopes: number, isClosedPartial: (name: string) => boolean): boolean {
  if (Array.isArray(node)) return node.every((item) => nodeIsClosed(item, scopes, isClosedPartial))
  if (!isNode(node)) return true
  if (node.type === 'PathExpression') return pathIsClosed(node as hbs.AST.PathExpression, scopes)
  if (node.type === 'Decorator' || node.type === 'DecoratorBlock' || node.type === 'PartialBlockStatement') return false
  if (node.type === 'PartialStatement' && !isClosedPartial(partialName(node as hbs.AST.PartialStatement))) return false
  if (node.type !== 'BlockStatement') {
    return Object.values(node).every((child) => nodeIsClosed(child, scopes, isClosedPartial))
  }
  const block = node as hbs.AST.BlockStatement
  const inner = SCOPES.has((block.path as hbs.AST.PathExpression).original) ? scopes + 1 : scopes
  return (
    nodeIsClosed(block.params, scopes, isClosedPartial) &&
    nodeIsClosed(block.hash, scopes, isClosedPartial) &&
    nodeIsClosed(block.program, inner, isClosedPartial) &&
    nodeIsClosed(block.inverse, scopes, isClosedPartial)
  )
}

const isNode = (value: unknown): value is hbs.AST.Node => typeof value === 'object' && value !== null && 'type' in value

const partialName = (node: hbs.AST.PartialStatement): string =>
  'original' in node.name && typeof node.name.original === 'string' ? node.name.original : ''

function pathIsClosed(path: hbs.AST.PathExpression, scopes: number): boolean {
  if (path.data) return scopes > 0 && path.depth === 0 && LOOP_DATA.has(String(path.parts[0]))
  return path.depth <= scopes
}
