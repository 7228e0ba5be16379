/**
 * Who is there, as the failure detector of a simulated node has it: a peer without a connection is gone after a while, and there
 * again once it is connected. State: since when each is not connected.
 */
import type { Port, Stop } from '../../../../protocols/port.ts'

/** Milliseconds. */
export const DETECT_MS = 800

type Presence = 'there' | 'gone'

export const detectPresence = ({ self, timers, members, onMember }: Port) => {
  const leaving = new Map<string, Stop>()
  const listeners = new Set<(peer: string, presence: Presence) => void>()
  const tell = (peer: string, presence: Presence): void => {
    for (const fn of listeners) fn(peer, presence)
  }
  onMember(({ id }, change) => {
    leaving.get(id)?.()
    leaving.delete(id)
    if (change === 'joined') return tell(id, 'there')
    const stop = timers.after(DETECT_MS, () => {
      leaving.delete(id)
      tell(id, 'gone')
    })
    leaving.set(id, stop)
  })
  return {
    presenceOf: (peer: string): Presence =>
      peer === self.id || leaving.has(peer) || members().some(({ id }) => id === peer) ? 'there' : 'gone',
    onPresence(fn: (peer: string, presence: Presence) => void): Stop {
      listeners.add(fn)
      return () => void listeners.delete(fn)
    },
  }
}
