/**
 * Calls of each method from the counters at `/metrics`, those of programs apart from the mesh's own. Pure.
 * Source: Prometheus exposition format 0.0.4.
 */
import { labelValue, METRIC_LINE } from './metric-points.ts'

export interface CallRow {
  readonly protocol: string
  readonly method: string
  /** Of the mesh itself. */
  readonly own: boolean
  /** By this node. */
  readonly made: number
  readonly madeFailed: number
  /** Milliseconds of one, on average; undefined where that is not measured. */
  readonly madeMs: number | undefined
  /** At this node. */
  readonly answered: number
  readonly answeredFailed: number
  readonly answeredMs: number | undefined
  /** Made and answered, since the time before. */
  readonly perSecond: number
}

interface Calls {
  readonly atMs: number
  /** By name. */
  readonly rows: readonly CallRow[]
}
export const NO_CALLS: Calls = { atMs: 0, rows: [] }

const NAME = /^parley_(mesh_)?(call|request)(?:s_total|_seconds_(sum|count))$/
/** A caller that wants no more is no failure. */
const FINE = ['ok', 'canceled']

interface Side {
  all: number
  failed: number
  seconds: number
  timed: number
}

interface Sums {
  readonly protocol: string
  readonly method: string
  readonly own: boolean
  readonly call: Side
  readonly request: Side
}

const none = (): Side => ({ all: 0, failed: 0, seconds: 0, timed: 0 })

const meanMs = ({ seconds, timed }: Side): number | undefined => (timed === 0 ? undefined : (1_000 * seconds) / timed)

const keyOf = ({ own, protocol, method }: Pick<CallRow, 'own' | 'protocol' | 'method'>): string =>
  `${own ? 'mesh' : 'program'} ${protocol} ${method}`

const add = (side: Side, what: string | undefined, value: number, status: string): void => {
  if (what === 'sum') side.seconds += value
  else if (what === 'count') side.timed += value
  else {
    side.all += value
    if (!FINE.includes(status)) side.failed += value
  }
}

/** @param before what the same node answered the last time; its rates are measured from there */
export const readCalls = (text: string, atMs: number, before: Calls): Calls => {
  const found = new Map<string, Sums>()
  for (const line of text.split('\n')) {
    const [, name = '', labels = '', figure] = METRIC_LINE.exec(line) ?? []
    const [, mesh, side, what] = NAME.exec(name) ?? []
    const [protocol, method] = [labelValue(labels, 'protocol'), labelValue(labels, 'method')]
    if (side === undefined || protocol === undefined || method === undefined) continue
    const about = { protocol, method, own: mesh !== undefined }
    const key = keyOf(about)
    const sums = found.get(key) ?? { ...about, call: none(), request: none() }
    found.set(key, sums)
    add(side === 'call' ? sums.call : sums.request, what, Number(figure), labelValue(labels, 'status') ?? 'ok')
  }
  const seconds = (atMs - before.atMs) / 1_000
  const former = new Map(before.rows.map((row) => [keyOf(row), row.made + row.answered]))
  const rows = [...found].map(([key, { call, request, ...about }]): CallRow => {
    const more = call.all + request.all - (former.get(key) ?? 0)
    return {
      ...about,
      made: call.all,
      madeFailed: call.failed,
      madeMs: meanMs(call),
      answered: request.all,
      answeredFailed: request.failed,
      answeredMs: meanMs(request),
      perSecond: before.rows.length === 0 ? 0 : Math.max(0, more) / seconds,
    }
  })
  return { atMs, rows: rows.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)) }
}
