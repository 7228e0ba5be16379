/**
 * A part: one feature of a node, as data. What it needs, what it takes, what it serves, decides and shows stands in its
 * definition, which is small and loaded everywhere; what it does stands in its implementation, which is loaded when it is
 * used. The node, the simulator and tests start the same parts (node/parts/runner.ts).
 *
 * Pure: what a definition says, and the types between it and its implementation. `definePart` (define-part.ts) checks one;
 * docs/parts.md shows how to write one.
 */
import type { ZodType, z } from 'zod'
import type { AnyProtocol, Handlers } from './define.ts'
import type { AnyCommandKind } from './journal/state/command-kind.ts'
import type { QuotaUser } from './limits/quota.ts'
import type { Log, Port } from './port.ts'

/** Names something that a node has, and what type it is of. Nothing of it is loaded by its token. */
export interface Token<Api> {
  readonly name: string
  /** Never there: it carries the type. */
  readonly api?: Api
}
export type ApiOf<T> = T extends Token<infer Api> ? Api : never
export type Tokens = Readonly<Record<string, Token<unknown>>>
/** Without any. */
export type NoTokens = Record<never, never>

export const tokenOf = <Api>(name: string): Token<Api> => ({ name })

/** Where parts add functions that another one calls: it is declared by who calls them. */
export interface ExtensionPoint<Fn> {
  readonly extends: string
  /** Never there: it carries the type. */
  readonly fn?: Fn
}
export const extensionPoint = <Fn>(name: string): ExtensionPoint<Fn> => ({ extends: name })

/** How a figure counts: up only (its name ends with `_total`), or up and down. With a label it is one figure per row. */
export interface FigureSpec {
  readonly kind: 'counter' | 'gauge'
  /** For people, in one line. */
  readonly help: string
  readonly label?: string
}
export type FigureValue = number | Iterable<readonly [value: string, figure: number]>

/** What a view is drawn as. */
export interface ViewSpec {
  readonly title: string
  readonly form: 'table' | 'timeline' | 'graph' | 'board'
  /** It shows one of them, as in `task`: it is read with the id of one, which may be anything. */
  readonly of?: string
  /** The view of this part that shows more of what a card or an entry opens, by its id. */
  readonly opens?: string
}
export type Cell = string | number | boolean | null
export interface TableData {
  /** In the order in which they are shown. */
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}
export interface TimelineEntry {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly text: string
  /** Entries of one lane stand below its name. */
  readonly lane?: string
  /** Peer id of who it is of. */
  readonly peer?: string
  /** The id that it opens in the view of `opens`. */
  readonly id?: string
}
export interface TimelineData {
  readonly entries: readonly TimelineEntry[]
}
export interface BoardCard {
  readonly id: string
  readonly title: string
  /** What it is, in a few words each; the first one is drawn in the tone. */
  readonly facts?: readonly string[]
  readonly tone?: 'good' | 'busy' | 'held' | 'bad'
  /** Since when it is so; milliseconds since 1970. */
  readonly at?: number
  /** Peer id of who it is of. */
  readonly peer?: string
}
export interface BoardData {
  /** `all`: how many there are, where these cards are not all of them. */
  readonly columns: readonly { readonly title: string; readonly all?: number; readonly cards: readonly BoardCard[] }[]
}
export interface GraphData {
  readonly nodes: readonly { readonly id: string; readonly label: string }[]
  readonly edges: readonly { readonly from: string; readonly to: string; readonly label?: string }[]
}
interface DataOf {
  readonly table: TableData
  readonly timeline: TimelineData
  readonly graph: GraphData
  readonly board: BoardData
}
export type ViewData = DataOf[keyof DataOf]

/** What a part decides with others. Its kinds write the keys below `partPrefix(name)`, and nobody else does. */
export interface PartJournal {
  /** Grows with each version that brings a kind or changes one: voters offer it, as `vendor/name@level`. */
  readonly level: number
  /** Bytes of all its records together, with 128 for each. It counts from the level on that it was agreed with. */
  readonly maxBytes: number
  /** Bytes of all its collections together, on the disk of each voter; it has none unless told. Counts as `maxBytes`. */
  readonly maxCollectionBytes?: number
  /** Named `vendor/name.verb`. The `level` of each is the part's that brought it. */
  readonly kinds: readonly AnyCommandKind[]
}

export type Activation = 'inbound-or-use' | 'start'

export interface PartSpec<Api, N, O, S, F, V> {
  /** `vendor/name`; parts of the mesh itself have no vendor. */
  readonly name: string
  /** One sentence for people. */
  readonly description: string
  readonly needs?: N
  /** Undefined where the node has no such part, or where that failed. */
  readonly optional?: O
  /** Other things that its api has under these keys, for parts that need one of them alone. */
  readonly provides?: Tokens
  /** Its section of the configuration. */
  readonly options?: S
  readonly protocols?: readonly AnyProtocol[]
  readonly journal?: PartJournal
  /** Metrics, by name. */
  readonly figures?: F
  readonly views?: V
  /** `inbound-or-use` unless told: started by a first call of its protocols, or when it is used; `start`: with the node. */
  readonly activate?: Activation
  /** Whether the node cannot do without; true unless told. Otherwise a node on which it fails goes on, and is not ready. */
  readonly essential?: boolean
  /** Say its type, `(): Loading<Tally> => import('./tally.ts')`: it is the type of the part. */
  load(): Loading<Api>
}

export interface Part<Api = unknown, N = Tokens, O = Tokens, S = ZodType, F = unknown, V = unknown>
  extends PartSpec<Api, N, O, S, F, V>,
    Token<Api> {}
/** A part whose types are not of interest here. */
export type AnyPart = Part<unknown, Tokens, Tokens, ZodType, FigureSpecs, ViewSpecs>
export type FigureSpecs = Readonly<Record<string, FigureSpec>>
export type ViewSpecs = Readonly<Record<string, ViewSpec>>

export type Loading<Api> = Promise<{ readonly default: Implementation<Api> }>

/** Of `setup`: before the network, when nothing that the part needs has started. */
export interface SetupContext extends Pick<Port, 'self' | 'clock' | 'timers' | 'random' | 'hash'> {
  readonly log: Log
  /** Adds to what is called there, until the part is stopped. */
  extend<Fn>(point: ExtensionPoint<Fn>, fn: Fn): void
}

export type PartContext<N = NoTokens, O = NoTokens> = Port & {
  /** Run backwards where `start` fails after it, and after `stop`. */
  defer(undo: () => void | Promise<void>): void
} & { readonly [K in keyof N]: ApiOf<N[K]> } & { readonly [K in keyof O]: ApiOf<O[K]> | undefined }

export interface Answers {
  readonly protocol: AnyProtocol
  readonly handlers: Handlers<AnyProtocol>
}
/** Handlers of one of the part's protocols. */
export const answers = <P extends AnyProtocol>(protocol: P, handlers: Handlers<P>): Answers => ({
  protocol,
  // They are called by the names of this protocol's methods, with what its schemas let through.
  handlers: handlers as unknown as Handlers<AnyProtocol>,
})

/** What is wrong, for people: `reasons` why the node is not ready, `degraded` what does not work although it is. */
export interface PartReadiness {
  readonly reasons?: readonly string[]
  readonly degraded?: readonly string[]
}

/** What a part is once it has started. */
export interface Started<Api, F = FigureSpecs, V = ViewSpecs, S = ZodType> {
  readonly api: Api
  /** Of each of its protocols. Calls that came before wait for it. */
  readonly handlers?: readonly Answers[]
  /** Waits for what it has in work. @param leftMs milliseconds until the node cuts it off */
  drain?(leftMs: number): Promise<void>
  stop?(): void | Promise<void>
  /** Read when somebody looks. */
  figures?(): { readonly [K in keyof F]: FigureValue }
  readonly views?: {
    /** @param id of a view `of` something @throws STA001 where there is no such thing */
    readonly [K in keyof V]: (
      id: string,
    ) => V[K] extends ViewSpec ? DataOf[V[K]['form']] | Promise<DataOf[V[K]['form']]> : never
  }
  readiness?(): PartReadiness
  /** Other options; `needs-restart`: it goes on with those that it has. Must not fail: they are checked before. */
  reload?(next: S extends ZodType ? z.output<S> : never): 'applied' | 'needs-restart'
  /** What it keeps on disk, for the node's bound. */
  readonly disk?: QuotaUser
}

/** As a part is started: its types are checked by `implementPart`. */
export interface Implementation<Api = unknown> {
  setup?(ctx: SetupContext, options: unknown): void
  start(ctx: PartContext, options: unknown): Promise<Started<Api>> | Started<Api>
}

/** What a part does, by the types of its definition. */
export interface ImplementationOf<Api, N, O, S extends ZodType, F, V> {
  /** Synchronous, before the network where the part starts with the node: extension points. */
  setup?(ctx: SetupContext, options: z.output<S>): void
  start(ctx: PartContext<N, O>, options: z.output<S>): Promise<Started<Api, F, V, S>> | Started<Api, F, V, S>
}
type SpecOf<P> =
  P extends Part<infer Api, infer N, infer O, infer S extends ZodType, infer F, infer V>
    ? ImplementationOf<Api, N, O, S, F, V>
    : never

/**
 * Binds an implementation to the types of its definition, `implementPart<typeof tally>({ ... })`; by its type alone, so
 * that neither module has to load the other one first.
 * @returns what `load` of the part resolves to
 */
export const implementPart = <P>(implementation: SpecOf<P>): Implementation<ApiOf<P>> =>
  // The runner gives each part the context and the options that its definition names.
  implementation as unknown as Implementation<ApiOf<P>>

/** Keys of a part's records in the journal begin so. */
export const PARTS_PREFIX = '$part/'
export const partPrefix = (name: string): string => `${PARTS_PREFIX}${name.includes('/') ? name : `parley/${name}`}/`

/** Undoes what was done, last first; what fails is told, and the rest is undone all the same. */
export const undoAll = async (
  steps: readonly (() => void | Promise<void>)[],
  failed: (error: unknown) => void,
): Promise<void> => {
  for (const step of steps.toReversed()) {
    try {
      await step()
    } catch (error) {
      failed(error)
    }
  }
}
