/**
 * What parts show, as the debug endpoint and the control socket give it: their figures, and views as data, so that the page
 * draws the views of others without running anything of theirs.
 */
import * as z from 'zod'

export const PartSchema = z.object({
  /** `vendor/name`; those of the mesh itself have no vendor. */
  name: z.string(),
  description: z.string(),
  /** idle: it is started when it is used. */
  state: z.enum(['idle', 'starting', 'running', 'failed', 'stopped']),
  /** Why it does not run. */
  problem: z.string().optional(),
  protocols: z.array(z.string()),
  /** `part@level`, where it decides something in the journal. */
  offer: z.string().optional(),
  /** Rows: by the value of its label. */
  figures: z.array(
    z.object({
      name: z.string(),
      help: z.string(),
      value: z.number(),
      rows: z.array(z.object({ of: z.string(), value: z.number() })).optional(),
    }),
  ),
  /** `of`: it is asked for with the id of one such thing. */
  views: z.array(
    z.object({
      name: z.string(),
      title: z.string(),
      form: z.enum(['table', 'timeline', 'graph', 'board']),
      of: z.string().optional(),
    }),
  ),
})
export type PartView = z.input<typeof PartSchema>

const Cell = z.union([z.string(), z.number(), z.boolean(), z.null()])
/** `left`: so many more there are than are shown. `opens`: the view of the part that shows more of an id in it. */
const Shown = { title: z.string(), left: z.number(), opens: z.string().optional() }
const Entry = z.object({
  at: z.number(),
  text: z.string(),
  lane: z.string().optional(),
  peer: z.string().optional(),
  id: z.string().optional(),
})
const Card = z.object({
  id: z.string(),
  title: z.string(),
  facts: z.array(z.string()),
  tone: z.enum(['good', 'busy', 'held', 'bad']).optional(),
  at: z.number().optional(),
  peer: z.string().optional(),
})
export const PartDataSchema = z.discriminatedUnion('form', [
  z.object({ form: z.literal('table'), ...Shown, columns: z.array(z.string()), rows: z.array(z.array(Cell)) }),
  z.object({
    form: z.literal('timeline'),
    ...Shown,
    entries: z.array(Entry),
  }),
  z.object({
    form: z.literal('graph'),
    ...Shown,
    nodes: z.array(z.object({ id: z.string(), label: z.string() })),
    edges: z.array(z.object({ from: z.string(), to: z.string(), label: z.string().optional() })),
  }),
  z.object({
    form: z.literal('board'),
    ...Shown,
    columns: z.array(z.object({ title: z.string(), all: z.number(), cards: z.array(Card) })),
  }),
])
export type PartDataView = z.input<typeof PartDataSchema>

export const PartViewQuery = z.object({
  part: z.string().min(1).max(64),
  view: z.string().min(1).max(64),
  /** Of what the view shows one of. */
  id: z.string().min(1).max(256).optional(),
})

export interface PartSource {
  list(): PartView[]
  /**
   * Undefined where there is no such part or view, or where that part does not run.
   * @throws MSG001 where the view needs an id; what the part throws, STA001 for an id that it does not know
   */
  data(part: string, view: string, id?: string): Promise<PartDataView | undefined>
}
