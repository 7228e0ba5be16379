/** What other nodes ask a node about who coordinates. Wire id `/parley/coordinator/1`. */
import { peerOf } from '../consensus/member-id.ts'
import { ParleyError, stateError } from '../errors.ts'
import type { JournalMember } from '../journal/journal-server.ts'
import { readOffers } from '../journal/part-kinds.ts'
import type { Port } from '../port.ts'
import { coordinatorProtocol } from './contract.ts'
import type { CoordinatorStatus } from './coordinator-status.ts'
import { transferLeadership } from './leadership-transfer.ts'
import type { VoterSelection } from './voter-selection.ts'

export interface CoordinatorServerDeps {
  readonly port: Pick<Port, 'self' | 'timers' | 'serve'>
  meshId(): string | undefined
  status(): CoordinatorStatus
  /** This node's member while this node coordinates. */
  actingMember(): JournalMember | undefined
  readonly voterSelection: Pick<VoterSelection, 'addOffer'>
  /** @returns how many vote, as far as it heard */
  withdraw(signal: AbortSignal): Promise<number | undefined>
  volunteer(): Promise<void>
}

const notLeader = () => stateError('not-leader', 'this node does not coordinate', 'ask the coordinator')

export const serveCoordinator = (deps: CoordinatorServerDeps): Promise<() => Promise<void>> => {
  const { port, meshId, actingMember } = deps
  return port.serve(coordinatorProtocol, {
    where() {
      const { epoch, leader, version, voters, learners } = deps.status()
      const id = meshId()
      return {
        ...(id !== undefined && { meshId: id }),
        epoch,
        ...(leader !== undefined && { leader }),
        version,
        seats: [...voters, ...learners].map(peerOf),
      }
    },
    volunteer({ meshId: named, member, level, leaving = false, parts }, { peer }) {
      if (named !== meshId())
        throw stateError('other-mesh', 'this is another mesh', 'meshes that were founded apart do not mix')
      if (peerOf(member) !== peer)
        throw new ParleyError('SEC002', 'a seat can only be offered by its own node', { hint: 'offer your own' })
      const acting = actingMember()
      if (acting === undefined) throw notLeader()
      const { configuration } = acting.group.status()
      return {
        enough: deps.voterSelection.addOffer({ member, level, leaving, parts: readOffers(parts) }, configuration),
        voters: configuration.voters.length,
      }
    },
    async transfer({ meshId: named, to }, { signal }) {
      const acting = actingMember()
      if (named !== meshId() || acting === undefined) throw notLeader()
      return transferLeadership(port, acting.group, to, signal)
    },
    async giveUp(_, { signal }) {
      const voters = await deps.withdraw(signal)
      return voters === undefined ? {} : { voters }
    },
    async takeSeat() {
      await deps.volunteer()
      return {}
    },
  })
}
