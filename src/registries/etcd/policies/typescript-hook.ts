import { readFile } from 'node:fs/promises'
import type { LoadHook } from 'node:module'
import { transform } from 'sucrase'

/** Lets a policy, and what it imports, be TypeScript: types are taken out and nothing is checked. */
export const load: LoadHook = async (url, context, next) => {
  if (!url.startsWith('file:') || !/\.m?ts$/.test(new URL(url).pathname)) return next(url, context)
  const text = await readFile(new URL(url), 'utf8')
  const { code } = transform(text, { transforms: ['typescript'], disableESTransforms: true, filePath: url })
  return { format: 'module', source: code, shortCircuit: true }
}
