/**
 * Who offers a protocol: an answer that is asked for with every call to "any" agent, so it is worked out once between
 * two changes of the directory.
 *
 * State: at most MAX_ANSWERS answers, dropped by `forget`.
 */
import type { Choosable } from '../../two-choices.ts'
import type { AgentRecord, MethodRecord, ProtocolRecord } from '../record/agent-record.ts'

/** An agent that offers a protocol. */
export interface Candidate extends Choosable {
  readonly name: string
  /** The newest version that it offers of the major that was asked for. */
  readonly version: string
  readonly methods: readonly MethodRecord[]
}

/** More protocols than one program calls; beyond it all answers are worked out again. */
export const MAX_CACHED_QUERIES = 256

/** Versions have three parts below 100,000 each, so the sum is exact. */
const rank = (version: string): number => version.split('.').reduce((sum, part) => sum * 100_000 + Number(part), 0)

const newest = ({ protocols }: AgentRecord, name: string, major: number): ProtocolRecord | undefined =>
  protocols
    .filter((protocol) => protocol.name === name && Number.parseInt(protocol.version, 10) === major)
    .reduce<ProtocolRecord | undefined>((a, b) => (a && rank(a.version) >= rank(b.version) ? a : b), undefined)

export const createOfferIndex = (
  agents: ReadonlyMap<string, { readonly record: AgentRecord; readonly state: Choosable['state'] }>,
) => {
  const answers = new Map<string, readonly Candidate[]>()

  const find = (protocol: string, major: number): readonly Candidate[] => {
    const key = `${protocol}/${major}`
    const known = answers.get(key)
    if (known) return known
    const found = [...agents].flatMap(([peer, { record, state }]): Candidate[] => {
      const offer = newest(record, protocol, major)
      if (offer === undefined) return []
      const { version, methods } = offer
      return [{ peer, name: record.name, state, ...(record.stuck && { isStuck: true }), version, methods }]
    })
    if (answers.size >= MAX_CACHED_QUERIES) answers.clear()
    answers.set(key, found)
    return found
  }

  return { find, forget: () => answers.clear(), size: () => answers.size }
}
