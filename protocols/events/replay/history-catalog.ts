/** What this node and its neighbours hold of a word (method `catalog`). */
import { isParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { History } from '../history/history.ts'
import type { HeldRange } from '../history/history-contract.ts'
import { eventsProtocol, MAX_CATALOG } from '../protocol.ts'
import type { EventSeries } from '../series.ts'

/** Neighbours asked at one time. */
const AT_ONCE = 16
/** Of the first attempt; twice that of each one more. */
const TIMEOUT_MS = 1_000

export interface CatalogAnswers {
  readonly held: readonly HeldRange[]
  /** They did not answer. */
  readonly silent: readonly string[]
}

/** @param attempt from 1 on */
export type CatalogQuery = (
  word: string,
  since: number | undefined,
  peers: readonly string[] | undefined,
  attempt: number,
) => Promise<CatalogAnswers>

/** The answer to a neighbour: the newest epochs, where there are too many. */
export const catalogForPeer = async (
  history: Pick<History, 'list'>,
  word: string,
  since: number | undefined,
): Promise<HeldRange[]> => (await history.list(word, since)).toSorted((a, b) => b.epoch - a.epoch).slice(0, MAX_CATALOG)

/**
 * Asks these neighbours, or all; who does not know the method holds nothing.
 * @param holds told who holds some of a series
 */
export const createCatalogQuery = (
  port: Pick<Port, 'members' | 'to' | 'log'>,
  history: Pick<History, 'list'>,
  holds: (series: EventSeries, peer: string) => void,
): CatalogQuery => {
  /** @returns undefined where there was no answer */
  const ask = async (
    peer: string,
    word: string,
    since: number | undefined,
    timeoutMs: number,
  ): Promise<readonly HeldRange[] | undefined> => {
    try {
      const request = { word, ...(since === undefined ? {} : { since }) }
      const { held } = await port.to(peer, eventsProtocol).catalog(request, { timeoutMs })
      const ofWord = held.filter((one) => one.word === word)
      for (const { publisher, epoch } of ofWord) holds({ publisher, word, epoch }, peer)
      return ofWord
    } catch (error) {
      port.log.info('a neighbour did not say what it holds', { peer, word, error })
      return isParleyError(error, 'MSG004') ? [] : undefined
    }
  }
  return async (word, since, peers, attempt) => {
    const asked = peers ?? port.members().map(({ id }) => id)
    const silent: string[] = []
    const held: HeldRange[] = peers === undefined ? await history.list(word, since) : []
    let index = 0
    const caller = async (): Promise<void> => {
      for (let peer = asked[index++]; peer !== undefined; peer = asked[index++]) {
        const answer = await ask(peer, word, since, TIMEOUT_MS * 2 ** (attempt - 1))
        if (answer === undefined) silent.push(peer)
        else held.push(...answer)
      }
    }
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, asked.length) }, caller))
    return { held, silent }
  }
}
