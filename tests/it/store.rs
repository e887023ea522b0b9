//! One battery of tests for every store backend, and what only a store on disk has to keep.

mod campaigns;
mod catalogues;
mod damage;
mod devices;
mod embedded;
mod entries;
mod kill;
mod lists;
mod logs;
mod parameters;
#[cfg(target_os = "linux")]
mod powercut;
mod series;
pub(crate) mod support;
pub(crate) mod traces;
mod transactions;
mod waiting;

use support::{open_memory, open_sled};

/// Runs every case of the battery on one backend.
macro_rules! store_battery {
    ($backend:ident, $open:expr; $($part:ident: $($case:ident),+;)+) => {
        mod $backend {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let opened = $open.await;
                    $part::$case(&opened.store).await;
                    opened.store.close().await.expect("closes");
                }
            )+)+
        }
    };
}

macro_rules! battery {
    ($backend:ident, $open:expr) => {
        store_battery! {
            $backend, $open;
            campaigns:
                members_are_planned_at_once,
                rows_are_kept_and_found,
                campaigns_do_not_mix_and_go_whole;
            catalogues:
                a_fresh_store_has_its_first_records,
                records_are_numbered_and_never_share_a_number,
                records_change;
            devices:
                registration_refuses_what_is_taken,
                keys_are_dense_and_never_given_twice,
                a_device_is_found_by_identity_serial_and_key,
                binding_takes_an_identity_once,
                an_inform_is_learned,
                concurrent_informs_and_edits_lose_nothing,
                profiles_change_but_not_their_names,
                filters_count_exactly_and_page,
                up_devices_are_listed_for_the_timer,
                removal_takes_everything,
                tokens_are_kept_found_and_revoked,
                figures_follow;
            entries:
                entries_are_numbered_filtered_and_paged,
                searches_find_texts_and_devices,
                entries_change_with_their_events,
                a_device_has_one_health_check_to_begin_with,
                the_oldest_entries_make_room,
                old_entries_are_dropped_in_steps,
                entries_go_with_their_device,
                devices_are_found_by_uuid;
            lists:
                words_are_found_wherever_they_stand,
                lists_are_ordered_by_every_field,
                filters_follow_every_change,
                all_that_match_are_read_in_order;
            logs:
                events_are_numbered_filtered_and_paged,
                informs_leave_their_events,
                ends_and_silence_leave_their_events,
                old_events_are_dropped_in_steps,
                the_audit_trail_is_kept_and_found;
            parameters:
                patches_are_learned_and_forgotten,
                the_last_informs_lie_over_the_tree,
                a_bootstrap_forgets_the_tree,
                subtrees_are_searched_and_paged,
                large_trees_are_kept;
            series:
                values_are_kept_and_cut_to_spans,
                long_series_are_kept,
                series_go_with_their_device;
            traces:
                sessions_are_kept_listed_and_trimmed,
                refusals_alone_push_nothing_out,
                large_sessions_are_kept,
                sessions_go_with_their_device;
            transactions:
                numbers_increase_under_concurrent_enqueues,
                queues_are_first_in_first_out,
                claims_respect_skip_back_off_and_waiting,
                an_inactive_device_s_queue_is_held,
                the_same_unstarted_work_is_merged,
                a_full_queue_refuses,
                saved_progress_is_kept,
                settling_is_idempotent,
                large_results_and_large_work_are_kept,
                only_unstarted_work_is_canceled,
                deadlines_expire_or_wake,
                listings_count_exactly_newest_first,
                concurrent_changes_of_one_queue_lose_nothing,
                devices_with_work_take_turns, a_pass_over_live_transactions_misses_none, a_back_off_can_be_ended;
            waiting:
                one_test_of_a_kind_at_a_time,
                resumed_work_counts_no_attempt,
                work_past_its_deadline_is_handed_out,
                what_is_amended_into_its_end_has_ended;
        }
    };
}

battery!(memory, open_memory());
battery!(sled, open_sled());
