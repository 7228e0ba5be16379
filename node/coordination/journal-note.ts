/** Notes beside the identity that this node has a journal. State: the last configuration that was noted. */
import { peerOf } from '../../protocols/consensus/member-id.ts'
import type { RaftStatus } from '../../protocols/consensus/raft/raft.ts'
import type { KnownStores } from '../store/known-stores.ts'

/**
 * That there is a journal, so that one which is deleted is missed: noted before anything is decided here, and when others
 * begin to vote or end.
 */
export const createJournalNote = (known: KnownStores | undefined) => {
  /** The last one that was noted. */
  let noted: RaftStatus['configuration'] | undefined
  const note = (member: string, meshId: string, isAlone: boolean): Promise<void> | undefined =>
    known?.note('journal', { member, meshId, voters: isAlone ? 'alone' : 'others' })
  return {
    async first(
      member: string,
      { meshId, founders }: { readonly meshId: string; readonly founders: readonly string[] | undefined },
    ): Promise<void> {
      const before = known?.recorded().journal
      if (before?.member !== member || before.meshId !== meshId) await note(member, meshId, founders?.length === 1)
    },
    onStatus({ configuration }: RaftStatus, member: string, meshId: string): void {
      const { voters } = configuration
      if (configuration !== noted && voters.length > 0)
        void note(
          member,
          meshId,
          voters.every((id) => peerOf(id) === peerOf(member)),
        )
      noted = configuration
    },
  }
}
