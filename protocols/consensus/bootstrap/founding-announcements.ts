/** What peers last said of themselves, each of them once. State: that (bounded). */
import type { FoundingAnnouncement } from './contract.ts'

const MAX_PEERS = 1_024
/** What is older says nothing. */
const FRESH_MS = 2_500

export const createFoundingAnnouncements = (now: () => number) => {
  const heard = new Map<string, { standing: FoundingAnnouncement; atMs: number }>()
  let dropped = 0
  return {
    put(peer: string, standing: FoundingAnnouncement): void {
      if (heard.size >= MAX_PEERS && !heard.has(peer)) dropped += 1
      else heard.set(peer, { standing, atMs: now() })
    },
    forget: (peer: string): void => void heard.delete(peer),
    clear: (): void => heard.clear(),
    fresh: (): FoundingAnnouncement[] =>
      [...heard.values()].filter(({ atMs }) => now() - atMs <= FRESH_MS).map(({ standing }) => standing),
    isFounded: (peer: string): boolean => heard.get(peer)?.standing.state === 'founded',
    /** Milliseconds since it was heard of. */
    ageMs: (peer: string): number => now() - (heard.get(peer)?.atMs ?? Number.NEGATIVE_INFINITY),
    dropped: (): number => dropped,
  }
}
