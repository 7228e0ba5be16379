/** Who coordinates, as the debug endpoint shows it. Keeps no state. */
import type { Epoch } from '../protocols/journal/kinds.ts'
import type { CoordinatorFacts } from './coordination.ts'
import type { CoordinatorView } from './debug/source.ts'

/** @param history asked for only where there is a coordinator to ask */
export const coordinatorView = async (
  facts: CoordinatorFacts,
  nameOf: (peer: string) => string,
  history: () => Promise<Epoch[]>,
): Promise<CoordinatorView> => {
  const { meshId, leader, problem, log, members, records, bytes, sessions } = facts
  // A page that is looked at while there is no quorum still shows the rest.
  const epochs = meshId === undefined || leader === undefined ? [] : await history().catch(() => [])
  return {
    epoch: facts.epoch,
    seat: facts.seat,
    acting: facts.acting,
    quorum: facts.quorum,
    version: facts.version,
    journal: { records, bytes, sessions },
    history: epochs,
    seats: members.map(({ member, peer, role, match, silentMs }) => ({
      member,
      peer,
      name: nameOf(peer),
      role,
      ...(match !== undefined && { match }),
      ...(silentMs !== undefined && { silentMs: Math.round(silentMs) }),
    })),
    ...(meshId !== undefined && { meshId }),
    ...(leader !== undefined && { leader: { id: leader, name: nameOf(leader) } }),
    ...(problem !== undefined && { problem }),
    ...(log !== undefined && { log }),
  }
}
