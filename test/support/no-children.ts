/** Tasks, for attempts that submit none. */
import type { ParentTasks } from '../../protocols/task/worker/attempt-children.ts'

const none = (): never => {
  throw new Error('no children here')
}
export const NO_CHILDREN: ParentTasks = { submitChild: none, get: none, list: none, letGo: none }
