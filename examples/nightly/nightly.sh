#!/usr/bin/env bash
# One night: ask, judge the drift, confirm an alarm with fresh answers, judge again.
#
#   MODEL=nvfp4_v2 BASELINE=nvfp4_v2.baseline examples/nightly/nightly.sh [further overrides of evalsuite run]
#
# Exit: 0 no drift, 1 a confirmed loss, 2 undecided (an unfinished night, an alarm that could not be confirmed), else
# the code of the run that failed. JUnit: $RESULTS/drift/junit.xml.
set -uo pipefail
: "${MODEL:?the model to watch, such as MODEL=nvfp4_v2}" "${BASELINE:?the file of evalsuite baseline save of the same model}"
SUITE=${SUITE:-nightly} RESULTS=${RESULTS:-results} BUDGET=${BUDGET:-2h}
night="$SUITE-$(date -u +"${DATE:-%Y%m%d}")"

evalsuite run "model=$MODEL" "suite=$SUITE" "run_id=$night" "results_dir=$RESULTS" "engine.deadline=$BUDGET" "$@"
code=$?
case $code in
  0 | 3 | 75) ;; # an unfinished night is the gate's to say
  *) exit $code ;;
esac

drift() {
  evalsuite gate "run=$RESULTS/$SUITE-*" gate=drift "baseline_run=$BASELINE" "results_dir=$RESULTS" "out=$RESULTS/drift"
}
drift
verdict=$?
if [ $verdict = 2 ]; then
  python3 -c 'import json, sys; print("\n".join(json.load(open(sys.argv[1]))["confirm"]))' "$RESULTS/drift/drift.json" |
    while read -r -a words; do
      [ "${#words[@]}" -gt 1 ] && "${words[@]:0:2}" "$@" "${words[@]:2}" "results_dir=$RESULTS" </dev/null
    done
  drift
  verdict=$?
fi
exit $verdict
