//! `ci`: what the GitHub Action does, told by variables instead of arguments. Hidden, because only the Action calls it.
//!
//! It decides nothing about signatures: it makes command lines of the other commands out of inputs, runs them in this
//! process, and tells a runner what came of it in the runner's ways: annotations, groups, outputs, a summary.

mod files;
mod github;
mod inputs;
mod report;
mod runner;
mod steps;

use crate::{
    context::Context,
    failure::{Exit, Failure},
    printer::{Printer, Record},
};

use self::{inputs::Inputs, report::Report, runner::Runner, steps::Steps};

/// Does what the inputs say. Every failure has been told when this returns.
pub(crate) fn run(context: &Context) -> Exit {
    // Data is kept and failures are shown to people, whatever format was asked for.
    let context = Context::new(context.options.clone(), Printer::recording());
    let runner = Runner::of(&context);
    inputs::mask_secrets(&context, &runner);
    let mut report = Report::default();
    let outcome = perform(&context, &runner, &mut report);
    runner.end_group();
    if let Err(failure) = &outcome {
        context.printer.failure(failure);
    }
    report.take(context.printer.take_record());
    let told = tell(&context, &runner, &report);
    match (outcome, told) {
        (Err(failure), _) | (Ok(_), Err(failure)) => failure.exit(),
        (Ok(exit), Ok(())) => exit,
    }
}

fn perform(context: &Context, runner: &Runner, report: &mut Report) -> Result<Exit, Failure> {
    let inputs = Inputs::read(context)?;
    report.begin(&inputs);
    if let Some(folder) = &inputs.working_directory {
        std::env::set_current_dir(folder)
            .map_err(|source| inputs::unusable("working-directory", &folder.display().to_string(), &source))?;
    }
    let mut steps = Steps {
        context,
        runner,
        inputs: &inputs,
        report,
    };
    steps.run()
}

/// Annotations, outputs, summary: also, and above all, after a failure.
fn tell(context: &Context, runner: &Runner, report: &Report) -> Result<(), Failure> {
    for failure in report.failures() {
        runner.error(failure);
    }
    if let Some(notice) = report.notice() {
        runner.notice(&notice);
    }
    let told = runner
        .outputs(&report.outputs())
        .and_then(|()| runner.artifacts(report.crate_files()))
        .and_then(|()| match report.summary() {
            Some(summary) => runner.summary(&summary),
            None => Ok(()),
        });
    if let Err(failure) = &told {
        context.printer.failure(failure);
        let Record { failures, .. } = context.printer.take_record();
        for failure in &failures {
            runner.error(failure);
        }
    }
    told
}
