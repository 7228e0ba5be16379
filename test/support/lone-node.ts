/** A node that founds a mesh alone and keeps all that a node can keep, for tests that damage what it kept. */
import { createMesh, type Mesh, type MeshOptionsInput } from '../../node/index.ts'

export const RECORDS = 10
const FOUND_MS = 20_000

export const openAlone = (dataDir: string, options: MeshOptionsInput = {}): Promise<Mesh> =>
  createMesh({
    name: 'alone',
    dataDir,
    listen: [],
    debug: false,
    control: false,
    log: 'silent',
    discovery: { mdns: false },
    ...options,
  })

/** It decides RECORDS records and takes so many fences, and stops. */
export const useAlone = async (dataDir: string, fences: number): Promise<void> => {
  const mesh = await openAlone(dataDir)
  await mesh.coordinator.found({ timeoutMs: FOUND_MS })
  for (let i = 0; i < RECORDS; i += 1) await mesh.journal.put(`record/${i}`, i)
  for (let index = 1; index <= fences; index += 1) await mesh.fences.accept('a', { term: 1, index })
  await mesh.stop()
}

/** How many records it has when it is started again. */
export const recordsOf = async (dataDir: string): Promise<number> => {
  const mesh = await openAlone(dataDir)
  try {
    await mesh.coordinator.found({ timeoutMs: FOUND_MS })
    return (await mesh.journal.list('record/')).records.length
  } finally {
    await mesh.stop()
  }
}
