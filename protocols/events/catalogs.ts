/** What this node and its neighbours hold of a word (method `catalog`). Keeps no state. */
import type { Port } from '../port.ts'
import type { History } from './history.ts'
import type { Held } from './history-store.ts'
import { eventsProtocol, MAX_CATALOG } from './protocol.ts'

const MAX_ASKED = 32
const TIMEOUT_MS = 1_000

export type Catalogs = (
  word: string,
  since: number | undefined,
  peers: readonly string[] | undefined,
) => Promise<Held[]>

/** What is told of it to others: the newest lives, where it is too much. */
export const catalogOf = async (
  history: Pick<History, 'list'>,
  word: string,
  since: number | undefined,
): Promise<Held[]> => (await history.list(word, since)).toSorted((a, b) => b.epoch - a.epoch).slice(0, MAX_CATALOG)

/** Asks these neighbours, or all; who does not answer, or does not know the method, holds nothing. */
export const createCatalogs = (
  port: Pick<Port, 'members' | 'to' | 'log'>,
  history: Pick<History, 'list'>,
): Catalogs => {
  const ask = async (peer: string, word: string, since: number | undefined): Promise<Held[]> => {
    try {
      const request = { word, ...(since === undefined ? {} : { since }) }
      const { held } = await port.to(peer, eventsProtocol).catalog(request, { timeoutMs: TIMEOUT_MS })
      return held.filter((one) => one.word === word)
    } catch (error) {
      port.log.info('a neighbour did not say what it holds', { peer, word, error })
      return []
    }
  }
  return async (word, since, peers) => {
    const asked = (peers ?? port.members().map(({ id }) => id)).slice(0, MAX_ASKED)
    const own = peers === undefined ? history.list(word, since) : []
    const all = await Promise.all([own, ...asked.map((peer) => ask(peer, word, since))])
    return all.flat()
  }
}
