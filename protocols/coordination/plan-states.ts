/**
 * The states of a plan and what moves it from one to another, as seed 003 has them. Two ways are ours, since the seed leaves
 * none for a directive that fails: `adjustment_needed` from `executing`, and `coordination_failure` from there (MESSAGES.md).
 * Pure.
 */
export const PLAN_STATES = ['idle', 'coordinating', 'executing', 'monitoring', 'error'] as const
export type PlanState = (typeof PLAN_STATES)[number]

export const PLAN_TRIGGERS = [
  'system_state_change',
  'plan_ready',
  'coordination_failure',
  'execution_started',
  'completion',
  'adjustment_needed',
  'recovery_complete',
  'retry_coordination',
] as const
export type PlanTrigger = (typeof PLAN_TRIGGERS)[number]

const NEXT: Readonly<Record<PlanState, Partial<Readonly<Record<PlanTrigger, PlanState>>>>> = {
  idle: { system_state_change: 'coordinating' },
  coordinating: { plan_ready: 'executing', coordination_failure: 'error' },
  executing: {
    execution_started: 'monitoring',
    adjustment_needed: 'coordinating',
    coordination_failure: 'error',
  },
  monitoring: { completion: 'idle', adjustment_needed: 'coordinating' },
  error: { recovery_complete: 'idle', retry_coordination: 'coordinating' },
}

/** Undefined: nothing of the kind happens in that state. */
export const nextState = (state: PlanState, trigger: PlanTrigger): PlanState | undefined => NEXT[state][trigger]
