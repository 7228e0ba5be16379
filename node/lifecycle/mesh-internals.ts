/**
 * What the node's own code calls on a mesh and no program does: calls of payloads that are written already, protocols whose
 * handlers run elsewhere, threads of agents. Not exported from the package. State: one entry a mesh, for as long as that lives.
 */
import type { ProtocolRecord } from '../../discovery/directory/record/agent-record.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Registration } from '../../protocols/registration.ts'
import type { Served } from '../../protocols/wire/payload/contract.ts'
import type { ByteCalls } from '../calls/clients.ts'
import type { StuckDetection } from '../parts/stuck-detection.ts'

export interface MeshInternals {
  /** Calls below the contracts, for payloads that are written already. */
  readonly calls: ByteCalls
  /** Counts threads of agents in. */
  readonly activity: StuckDetection
  /** As `serve`, for a protocol whose handlers run elsewhere (a worker thread, a program). */
  serveCompiled(served: Served, record: ProtocolRecord): Promise<Registration>
}

const internals = new WeakMap<object, MeshInternals>()

export const keepInternals = (mesh: object, kept: MeshInternals): void => {
  internals.set(mesh, kept)
}

/** @throws MSG001 for what createMesh of this package did not return */
export const internalsOf = (mesh: object): MeshInternals => {
  const found = internals.get(mesh)
  if (found !== undefined) return found
  throw new ParleyError('MSG001', 'this is not a mesh that createMesh returned', {
    hint: 'give the very object that createMesh resolved to, not a copy, of the same installed parley-mesh',
  })
}
