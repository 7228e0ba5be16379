/** What the control socket has a node do: publish, hand the coordination over, give up its vote. */
import { setTimeout } from 'node:timers/promises'
import type * as z from 'zod'
import { coordinatorProtocol } from '../../../protocols/coordinator/contract.ts'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Mesh } from '../../api.ts'
import type * as schemas from '../control-schemas.ts'
import { findPeer } from './run-call.ts'

/** Milliseconds until a transfer is requested again. */
const RETRY_MS = 100

/** They go out in their order; what fails ends it, and says how many went out. */
export const publish = async (
  { events }: Pick<Mesh, 'events'>,
  { topic, events: list, type, headers, ttlMs }: z.output<typeof schemas.PublishSchema>,
): Promise<z.output<typeof schemas.PublishedSchema>> => {
  const options = {
    ...(type !== undefined && { type }),
    ...(headers !== undefined && { headers }),
    ...(ttlMs !== undefined && { ttlMs }),
  }
  const results = await Promise.allSettled(list.map((data) => events.publish(topic, data, options)))
  const receipts = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) {
    const { reason } = failed
    if (!isParleyError(reason) || receipts.length === 0) throw reason
    throw new ParleyError(reason.code, `${receipts.length} of ${list.length} events went out: ${reason.message}`, {
      cause: reason,
      details: { ...reason.details, published: receipts.length },
      ...(reason.hint !== undefined && { hint: reason.hint }),
    })
  }
  return { published: receipts.length, id: receipts.at(-1)?.id ?? '', recipients: receipts.at(-1)?.recipients ?? 0 }
}

/** Repeated where the peer that was taken for the coordinator is so no more: the next one is about to be known. */
const handOver = async (coordinator: Mesh['coordinator'], peer: string | undefined, signal: AbortSignal) => {
  for (;;) {
    try {
      return await coordinator.transfer(peer, { signal })
    } catch (error) {
      if (signal.aborted || !isParleyError(error) || error.details.reason !== 'not-leader') throw error
      await setTimeout(RETRY_MS)
    }
  }
}

export const transfer = async (
  { coordinator, directory }: Pick<Mesh, 'coordinator' | 'directory'>,
  { to, timeoutMs }: z.output<typeof schemas.TransferSchema>,
): Promise<z.output<typeof schemas.TransferredSchema>> => {
  const signal = AbortSignal.timeout(timeoutMs)
  const nameOf = (peer: string): string => directory.get(peer)?.name ?? peer
  const before = await coordinator.found({ signal }).catch((cause: unknown) => {
    throw new ParleyError('COM001', `no coordinator was found within ${timeoutMs} ms`, {
      hint: 'see `parley coordinator status`',
      cause,
    })
  })
  const peer = to === undefined ? undefined : findPeer({ directory }, to)
  const { epoch, leader } = await handOver(coordinator, peer, signal).catch((cause: unknown) => {
    if (!signal.aborted || isParleyError(cause)) throw cause
    throw new ParleyError('COM001', `nobody else coordinated within ${timeoutMs} ms`, {
      hint: 'see `parley coordinator voters`, or give it more --timeout',
      cause,
    })
  })
  return { epoch, leader, before: before.leader, leaderName: nameOf(leader), beforeName: nameOf(before.leader) }
}

type MemberMesh = Pick<Mesh, 'self' | 'to'>

export const withdrawRaftMember = (
  mesh: MemberMesh,
  { timeoutMs }: z.output<typeof schemas.RaftMemberSchema>,
): Promise<z.output<typeof schemas.RaftMemberWithdrawnSchema>> =>
  mesh.to(mesh.self.id, coordinatorProtocol).giveUp({}, { timeoutMs })

export const restoreRaftMember = (
  mesh: MemberMesh,
  { timeoutMs }: z.output<typeof schemas.RaftMemberSchema>,
): Promise<object> => mesh.to(mesh.self.id, coordinatorProtocol).takeSeat({}, { timeoutMs })
