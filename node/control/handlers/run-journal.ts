/** What the control socket has a node tell of its outbox, of agents and protocols, and do with the journal. */
import type * as z from 'zod'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Json } from '../../../protocols/journal/state/command-kind.ts'
import { nearestName } from '../../../protocols/unknown-keys.ts'
import type { Mesh } from '../../api.ts'
import type { DebugSource } from '../../observe/debug/debug-schemas.ts'
import { definedOnly } from '../../observe/debug/sources/message-view.ts'
import { NO_AGENT } from '../control-schemas.ts'
import type * as wire from '../tool-schemas.ts'

const MAX_NAMES = 20

export const outbox = async (
  { messages, directory }: Pick<Mesh, 'messages' | 'directory'>,
  { limit, after }: z.output<typeof wire.OutboxQuerySchema>,
): Promise<z.input<typeof wire.OutboxSchema>> => {
  const entries = await messages.outbox({ limit, ...(after !== undefined && { after }) })
  const figures = messages.figures()
  return {
    messages: figures.outbox,
    bytes: figures.outboxBytes,
    entries: entries.map((entry) => ({ ...definedOnly(entry), name: directory.get(entry.destination)?.name ?? '' })),
  }
}

/** An agent by its name or id, else a protocol with all that offer it. @throws STA001, STA003 where a name is not enough */
export const describe = (
  { directory }: Pick<Mesh, 'directory'>,
  views: Pick<DebugSource, 'agent'>,
  { what }: z.output<typeof wire.DescribeQuerySchema>,
): z.input<typeof wire.DescribedSchema> => {
  const agents = directory.agents()
  const detailsOf = (peer: string) => views.agent(peer) ?? []
  const named = directory.find(what)
  if (named !== undefined) return { kind: 'agent', agents: [detailsOf(named.peer)].flat() }
  const offering = agents.filter(({ record }) => record.protocols.some(({ name }) => name === what))
  if (offering.length > 0) {
    const shown = offering.flatMap(({ peer }) => detailsOf(peer))
    return {
      kind: 'protocol',
      agents: shown.map((agent) => ({ ...agent, protocols: agent.protocols.filter(({ name }) => name === what) })),
    }
  }
  const names = [...new Set(agents.flatMap(({ name, record }) => [name, ...record.protocols.map((one) => one.name)]))]
  const guess = nearestName(what, names)
  throw new ParleyError('STA001', `no agent and no protocol is called ${JSON.stringify(what)}`, {
    hint: guess === undefined ? `there is ${names.slice(0, MAX_NAMES).join(', ')}` : `did you mean ${guess}?`,
    details: { reason: NO_AGENT },
  })
}

type Journalled = Pick<Mesh, 'journal'>

export const journalGet = async (
  { journal }: Journalled,
  { key, timeoutMs }: z.output<typeof wire.JournalGetSchema>,
): Promise<z.input<typeof wire.JournalFoundSchema>> => {
  const record = await journal.get(key, { timeoutMs })
  return record === undefined ? {} : { record }
}

export const journalList = (
  { journal }: Journalled,
  { prefix, timeoutMs }: z.output<typeof wire.JournalListSchema>,
): Promise<z.input<typeof wire.JournalListedSchema>> => journal.list(prefix, { timeoutMs })

export const journalPut = async (
  { journal }: Journalled,
  { key, value, ifVersion, timeoutMs }: z.output<typeof wire.JournalPutSchema>,
): Promise<z.input<typeof wire.JournalWrittenSchema>> => {
  // It was JSON on its way here.
  const { version } = await journal.put(key, value as Json, {
    timeoutMs,
    ...(ifVersion !== undefined && { ifVersion }),
  })
  return { version }
}

export const journalDelete = async (
  { journal }: Journalled,
  { key, ifVersion, timeoutMs }: z.output<typeof wire.JournalDeleteSchema>,
): Promise<z.input<typeof wire.JournalWrittenSchema>> => {
  const { version, result } = await journal.delete(key, { timeoutMs, ...(ifVersion !== undefined && { ifVersion }) })
  return { version, existed: result.existed }
}

/** What there is, then each change, until the reader leaves. */
export async function* journalWatch(
  { journal }: Journalled,
  { prefix, from }: z.output<typeof wire.JournalWatchSchema>,
  signal: AbortSignal,
): AsyncGenerator<wire.JournalLine, void, undefined> {
  for await (const change of journal.watch({ prefix, signal, ...(from !== undefined && { from }) })) {
    if (change.type === 'records') {
      yield { type: 'records', version: change.version, records: [...change.records] }
      continue
    }
    const { version, key, at, value } = change
    yield { type: 'change', version, key, at, isDeleted: value === undefined, value: value ?? null }
  }
}
