/** What a run of the simulated mesh of tasks comes to. */
export interface TasksTotals {
  readonly steps: number
  readonly submitted: number
  readonly completed: number
  readonly failed: number
  readonly canceled: number
  /** Failed at their deadline. */
  readonly expired: number
  readonly kills: number
  readonly powerCuts: number
  readonly cuts: number
  readonly freezes: number
  /** Nodes that stopped by themselves. */
  readonly leaves: number
  /** Times that all but one were away for longer than a lease. */
  readonly outages: number
  /** Times that one was cut off while the others were started anew. */
  readonly rolls: number
  readonly pauses: number
  /** Attempts after the first. */
  readonly again: number
  readonly effects: number
  /** Effects that ran again, since a worker died between running and recording. */
  readonly repeated: number
  /** Effects of attempts that were replaced, refused by their fence. */
  readonly refused: number
  /** Sleeps that were over, words that were given, words that nobody gave in time, children that were waited for. */
  readonly slept: number
  readonly given: number
  readonly late: number
  readonly children: number
  /** Attempts with what their task requires; those whose node gave that up. */
  readonly needy: number
  readonly givenUp: number
  /** Attempts at tasks on which no two may work. */
  readonly alone: number
  /** Draws of budgets; those that were refused; attempts that gave back what was not theirs; tokens that were spent. */
  readonly draws: number
  readonly exhausted: number
  readonly cheats: number
  readonly spent: number
  /** Budgets of which the rest came back; tasks with a budget that were submitted once more. */
  readonly cameBack: number
  readonly submittedAgain: number
  /** Parts of what attempts drew that went with children, in each attempt. */
  readonly parts: number
  /** Ends that another node than the submitter waited for. */
  readonly watched: number
  /** Tasks that a schedule began. */
  readonly ticks: number
  /** Failed since nobody had a large value any more. */
  readonly inputLost: number
  /** Copies of large values that were kept; damaged; lost with their disks. Values of which all copies were damaged. */
  readonly kept: number
  readonly damaged: number
  readonly lostCopies: number
  readonly lostValues: number
  /** Large results that were read and right. */
  readonly read: number
  /** Values that had three holders once one of them stayed away. */
  readonly moved: number
  /** Runs in which what no task refers to was waited for to go. */
  readonly forgotten: number
}
