/**
 * Who takes the directives of the coordinator: a protocol in the driver's process that asks the mesh's fences before it
 * carries one out, and writes down what came. State: all that came, in the order in which it was let through or refused.
 */
import type { Mesh } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import type { Fence } from '../../protocols/journal/fencing/fence.ts'
import { receiverProtocol, SCOPE } from './commands.ts'

export interface Taken {
  /** Peer id of the sender. */
  readonly peer: string
  readonly epoch: number
  readonly fence: Fence
  readonly late: boolean
  readonly at: number
  /** The code that it was refused with; undefined: it was let through. */
  readonly refused: string | undefined
}

export interface Receiver {
  readonly taken: readonly Taken[]
}

export const serveReceiver = async (mesh: Mesh): Promise<Receiver> => {
  const taken: Taken[] = []
  await mesh.serve(receiverProtocol, {
    async take({ epoch, fence, late }, { peer }) {
      const told = { peer, epoch, fence, late }
      try {
        await mesh.fences.accept(SCOPE, fence)
      } catch (error) {
        taken.push({ ...told, at: performance.now(), refused: isParleyError(error) ? error.code : String(error) })
        throw error
      }
      taken.push({ ...told, at: performance.now(), refused: undefined })
      return {}
    },
  })
  return { taken }
}
