/** How tasks ended, as anybody was told: all are told the same. State: the ends. */
import type { TaskState } from '../../../protocols/task/client/task-api.ts'

const textOf = ({ status, result, storedResult, error }: TaskState): string =>
  JSON.stringify({ status, result, hash: storedResult?.hash, error })

export class ToldEnds {
  readonly #ends = new Map<string, TaskState>()

  /** @returns what is wrong */
  note(state: TaskState): string | undefined {
    const { id } = state
    const before = this.#ends.get(id) ?? state
    this.#ends.set(id, before)
    const [one, other] = [textOf(before), textOf(state)]
    return one === other ? undefined : `${id} ended as ${one}, and as ${other}`
  }
}
