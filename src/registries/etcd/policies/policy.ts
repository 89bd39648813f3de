import type { Instance } from '../../../model/instance.js'

/**
 * A small program that says which nodes a container has in etcd. Built-in ones live beside this file; those of users are ES
 * modules that export `container`, and `config` and `prefix` where they need them (see docs/etcd.md).
 */
export interface Policy {
  readonly name: string
  /** The file that it is in. */
  readonly origin?: string
  /** What a service of it may be told, when it takes anything. */
  readonly config?: ConfigSpec
  /** Where all of its nodes lie; undefined: anywhere. */
  prefix(config: Config): string | undefined
  /** One outcome per instance, in their order. Never rejects but by the signal. */
  evaluate(instances: readonly Instance[], config: Config, signal: AbortSignal): Promise<readonly Outcome[]>
  close?(): Promise<void>
}

/** A JSON Schema of an object, whose `default`s are filled in; `etcdPath`: where in etcd services are described too. */
export interface ConfigSpec {
  readonly etcdPath?: string
  readonly [keyword: string]: unknown
}

export type Config = Readonly<Record<string, unknown>>

/** `warning`: the nodes are there, and of no use. `unasked`: others took its time, and it may be asked at once. */
export type Outcome =
  | { readonly nodes: readonly NodeText[]; readonly warning?: string }
  | { readonly error: string }
  | { readonly unasked: true }

export type NodeText = readonly [path: string, value: string]
