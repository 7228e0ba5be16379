/**
 * What a test may ask about members and secrets of a mesh in another process. State, per mesh: who left since it is
 * watched, and the latest calls that it makes by itself.
 */
import type { Mesh, MeshOptionsInput } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import { probe } from './probe.ts'

interface Calling {
  answered: number
  /** Code, details.reason and message of each call that failed. */
  failures: string[]
  stop(): void
}

export const trustVerbs = (meshOf: (as: string) => Mesh) => {
  const left = new Map<string, string[]>()
  const calling = new Map<string, Calling>()

  /** One call after the other, none of which may run twice: whatever fails is seen. */
  const keepCalling = async (
    mesh: Mesh,
    to: readonly string[],
    record: Calling,
    isOver: () => boolean,
  ): Promise<void> => {
    const clients = to.map((peer) => mesh.to(peer, probe))
    while (!isOver()) {
      for (const client of clients) {
        try {
          await client.once({ text: 'x' })
          record.answered += 1
        } catch (error) {
          record.failures.push(isParleyError(error) ? `${error.code} ${error.message}` : String(error))
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  return {
    /** Sets the wall clock of the whole process; timers and the monotonic clock stay. */
    stepClock: async (_as: string, { byMs }: { byMs: number }) => {
      const before = Date.now
      Date.now = () => before() + byMs
    },
    readiness: async (as: string, _: undefined) => meshOf(as).readiness(),
    reload: async (as: string, options: MeshOptionsInput) => meshOf(as).reload(options),
    watchMembers: async (as: string, _: undefined) => {
      const names: string[] = []
      left.set(as, names)
      meshOf(as).onMember(({ name }, change) => {
        if (change === 'left') names.push(name)
      })
    },
    left: async (as: string, _: undefined) => left.get(as) ?? [],
    keepCalling: async (as: string, { to }: { to: string[] }) => {
      let isOver = false
      const record: Calling = {
        answered: 0,
        failures: [],
        stop() {
          isOver = true
        },
      }
      calling.set(as, record)
      void keepCalling(meshOf(as), to, record, () => isOver)
    },
    stopCalling: async (as: string, _: undefined) => {
      const record = calling.get(as)
      record?.stop()
      return { answered: record?.answered ?? 0, failures: record?.failures.slice(0, 10) ?? [] }
    },
  }
}
